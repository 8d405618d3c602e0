/** One account of the demo: two devices that share a container and its key, and what both must find in it. */
import { ContainerFrame, NewContainer } from "../../src/container/messages.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { type Answer, Box, Client, type Device } from "../support/client.ts";
import { type Outbox, signIn, signUp } from "../support/outbox.ts";
import { type BudgetRow, ContainerKey } from "./budget.ts";
import { demand } from "./demand.ts";
import { openCategories, openEntries, randomVersion, type SeenEntry, sealName, sealRow } from "./sealedRows.ts";

/** The whole container, decrypted. */
export interface View {
  /** By row of the CSV file. */
  entries: Map<number, SeenEntry>;
  /** Names by id. */
  categories: Map<string, string>;
  /** How many deleted entries the server remembers. */
  tombstones: number;
}

export class Household {
  /** What must be on the server, by row. */
  readonly expected = new Map<number, BudgetRow>();
  /** How many deleted entries the server must remember. */
  deleted = 0;

  private constructor(
    readonly laptop: Device,
    readonly phone: Device,
    private readonly box: Box,
    private readonly key: ContainerKey,
    /** Ids by name. */
    private readonly categoryIds: Map<string, string>,
  ) {}

  /**
   * Signs up on the laptop, signs in on the phone, and makes a container with these categories.
   * @param base address of the server
   * @throws Deviation, Refused
   */
  static async open(base: string, encoding: Encoding, outbox: Outbox, categories: readonly string[]) {
    const api = new Client((request) => fetch(request), encoding, base);
    const { user, device: laptop } = await signUp(api, outbox);
    const phone = await signIn(api, outbox, user);
    const key = new ContainerKey();
    const { box, categoryIds } = await createContainer(laptop, key, categories);
    return new Household(laptop, phone, box, key, categoryIds);
  }

  /** @throws Refused, or the error of fetch when there is no answer */
  async create(row: BudgetRow): Promise<void> {
    await this.laptop.createEntry(this.box, {
      ...sealRow(this.key, row, this.categoryIds),
      version_nonce: randomVersion(),
    });
    this.expected.set(row.row, row);
  }

  /** Replaces the version that the device has seen. The caller says what is expected now. */
  replace(device: Device, { id, version_nonce }: SeenEntry, row: BudgetRow): Promise<Answer<unknown>> {
    return device.replaceEntry(this.box, {
      entry_id: id,
      ...sealRow(this.key, row, this.categoryIds),
      version_nonce: randomVersion(),
      expected_previous_version_nonce: version_nonce,
    });
  }

  /** As replace, for an edit that must succeed. @throws Deviation */
  async edit(device: Device, entry: SeenEntry, row: BudgetRow): Promise<void> {
    const { status, error } = await this.replace(device, entry, row);
    demand(status === 200, `an edit of row ${row.row} was refused: ${status} ${error?.err_type}`);
    this.expected.set(row.row, row);
  }

  async delete(device: Device, { id, row }: SeenEntry): Promise<void> {
    const { status } = await device.deleteEntry(this.box, id);
    demand(status === 200, `deleting row ${row.row} was answered with ${status}`);
    this.expected.delete(row.row);
    this.deleted++;
  }

  /** Reads and decrypts everything. @throws Deviation for what is damaged or there twice */
  async read(device: Device): Promise<View> {
    const container = await device.read(this.box);
    const categories = openCategories(this.key, container.categories);
    const alive = container.entries.filter(({ deleted_at }) => deleted_at === undefined);
    const entries = openEntries(this.key, alive, categories);
    return { entries, categories, tombstones: container.entries.length - alive.length };
  }
}

/** Most categories come with the container; the last one is added to it, as later ones are. */
async function createContainer(device: Device, key: ContainerKey, names: readonly string[]) {
  const [last = "", ...others] = names.toReversed();
  const { container, privateKey } = device.newContainer({
    encrypted_blob: sealName(key, "Our budget"),
    categories: others.map((name, temp_id) => ({ temp_id, encrypted_blob: sealName(key, name), version_nonce: 1n })),
  });
  const frame = await device.client.must("POST", "/api/container", {
    request: [NewContainer, container],
    response: ContainerFrame,
    headers: device.headers(),
  });
  const box = new Box(frame.id, frame.access_key_id, privateKey);
  const categoryIds = new Map(frame.category_ids.map(({ temp_id, real_id }) => [others[temp_id] ?? "", real_id]));
  categoryIds.set(last, await device.createCategory(box, { value: sealName(key, last) }));
  return { box, categoryIds };
}
