/** People of the demo who share a budget. Each has an account; what they have in common is the budget's key. */
import type { NewUser } from "../../src/user/messages.ts";
import { type Answer, type Box, type Device, Refused } from "../support/client.ts";
import { putRekey } from "../support/memberCalls.ts";
import type { RecipientKeys } from "../support/recipientKeys.ts";
import { boxOf, newCategory, newEntry, newUpload, upload } from "../support/uploadCalls.ts";
import { type BudgetRow, ContainerKey } from "./budget.ts";
import { demand } from "./demand.ts";
import { Follower } from "./follower.ts";
import { openCategories, openEntries, randomVersion, type SeenEntry, sealName, sealRow } from "./sealedRows.ts";
import { differenceIn } from "./story.ts";

export interface Person {
  name: string;
  user: NewUser;
  device: Device;
  /** Open what is sent to this person. */
  keys: RecipientKeys;
}

/** Somebody who is in a budget. All that a member reads comes by events and changes. */
export class Member {
  #key: ContainerKey;

  private constructor(
    readonly person: Person,
    readonly box: Box,
    key: ContainerKey,
    readonly follower: Follower,
  ) {
    this.#key = key;
  }

  /** Begins to follow a budget. @throws Deviation */
  static async enter(person: Person, box: Box, key: ContainerKey): Promise<Member> {
    return new Member(person, box, key, await Follower.start(person.device, box));
  }

  /** Uploads a whole budget in one request. @throws Deviation, Error when it is refused */
  static async found(person: Person, rows: readonly BudgetRow[]): Promise<Member> {
    const key = new ContainerKey();
    const names = [...new Set(rows.map(({ category }) => category))].filter((name) => name !== "");
    const tempIds = new Map(names.map((name, index) => [name, index]));
    const { container, privateKey } = newUpload({
      encrypted_blob: sealName(key, "Our budget"),
      categories: names.map((name, index) => newCategory(index, { encrypted_blob: sealName(key, name) })),
      entries: rows.map((row, index) => {
        const { encrypted_blob, category_id } = sealRow(key, row, tempIds);
        return newEntry(index, { encrypted_blob, category_temp_id: category_id });
      }),
    });
    const { value } = await upload(person.device, container);
    return Member.enter(person, boxOf(value, privateKey), key);
  }

  get key(): ContainerKey {
    return this.#key;
  }

  /** What the copy holds, decrypted. @throws Deviation for what is damaged or there twice */
  rows(): Map<number, SeenEntry> {
    const { categories, entries } = this.follower.copy;
    return openEntries(this.#key, entries.values(), openCategories(this.#key, categories.values()));
  }

  /** Waits until the copy holds exactly these rows. @throws Deviation */
  reach(expected: ReadonlyMap<number, BudgetRow>): Promise<void> {
    return this.follower.until(() => differenceIn(this.rows(), expected));
  }

  /** @throws Refused */
  async create(row: BudgetRow): Promise<void> {
    await this.person.device.createEntry(this.box, { ...this.#seal(row), version_nonce: randomVersion() });
  }

  /** Replaces the version that the member has seen. @throws Refused */
  async edit({ id, version_nonce }: SeenEntry, row: BudgetRow): Promise<void> {
    const answer = await this.person.device.replaceEntry(this.box, {
      entry_id: id,
      ...this.#seal(row),
      version_nonce: randomVersion(),
      expected_previous_version_nonce: version_nonce,
    });
    requireGranted("an edit", answer);
  }

  /** @throws Refused */
  async delete({ id }: SeenEntry): Promise<void> {
    requireGranted("a deletion", await this.person.device.deleteEntry(this.box, id));
  }

  /**
   * Seals everything with a new key, in one request, and waits until that has come back. Nobody else has the new key.
   *
   * @throws Deviation, Refused
   */
  async rekey(): Promise<void> {
    const { container, categories, entries } = this.follower.copy;
    demand(container !== undefined, "the copy lacks the container itself");
    const [oldKey, newKey] = [this.#key, new ContainerKey()];
    const renewed = ({ encrypted_blob, version_nonce }: { encrypted_blob: Uint8Array; version_nonce: bigint }) => ({
      encrypted_blob: newKey.seal(oldKey.open(encrypted_blob)),
      version_nonce: randomVersion(),
      expected_previous_version_nonce: version_nonce,
    });
    const rekey = {
      container: renewed(container),
      categories: [...categories.values()].map((category) => ({ id: category.id, ...renewed(category) })),
      entries: [...entries.values()].map((entry) => ({ id: entry.id, ...renewed(entry) })),
    };
    requireGranted("re-keying", await putRekey(this.person.device, this.box, rekey));
    this.#key = newKey;
    const versions = new Map(
      [...rekey.categories, ...rekey.entries].map(({ id, version_nonce }) => [id, version_nonce]),
    );
    await this.follower.until(() => {
      const copied = [...categories.values(), ...entries.values()];
      const old = copied.find(({ id, version_nonce }) => versions.get(id) !== version_nonce);
      return old && "the re-keyed rows did not come";
    });
  }

  /** All blobs of the copy, as they are stored. */
  blobs(): Uint8Array[] {
    const { container, categories, entries } = this.follower.copy;
    const rows = [...(container ? [container] : []), ...categories.values(), ...entries.values()];
    return rows.map(({ encrypted_blob }) => encrypted_blob);
  }

  #seal(row: BudgetRow) {
    const names = openCategories(this.#key, this.follower.copy.categories.values());
    return sealRow(this.#key, row, new Map([...names].map(([id, name]) => [name, id])));
  }
}

/** @throws Refused */
function requireGranted(step: string, { status, error }: Answer<unknown>): void {
  if (status >= 300) throw new Refused(step, status, error?.err_type, error?.err_message);
}
