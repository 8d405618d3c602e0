/**
 * Random histories of one container, for C6: writers that only know what they were answered, and a poller that only
 * asks for rows with a higher sequence number than it has seen.
 */
import { expect } from "bun:test";
import type { Db } from "../../src/db/query.ts";
import type { Answer, Box, Device } from "./client.ts";
import {
  anyDevice,
  postCategory,
  postEntry,
  postEntryAndCategory,
  putCategory,
  putContainer,
  putEntry,
} from "./containerCalls.ts";
import { changesSince, expectHeadIsExact, type StoredRow } from "./containerRows.ts";
import { seededRandom } from "./races.ts";
import type { TestServer } from "./server.ts";

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** One client of a container that makes random changes, knowing only what it was answered. */
export class Writer {
  readonly answers: Answer<unknown>[] = [];
  /** Ids that a create was answered with. */
  readonly created: string[] = [];
  readonly #entries = new Map<string, bigint>();
  readonly #categories = new Map<string, bigint>();

  constructor(
    readonly device: Device,
    readonly box: Box,
    readonly random: () => number,
  ) {}

  #pick(rows: Map<string, bigint>): [id: string, nonce: bigint] {
    return [...rows][Math.floor(this.random() * rows.size)] ?? [crypto.randomUUID(), 0n];
  }

  #nonce(): bigint {
    return BigInt(Math.floor(this.random() * 2 ** 50));
  }

  async step(): Promise<void> {
    const choice = Math.floor(this.random() * 10);
    if (choice < 4) await this.#create(choice);
    else if (choice < 8) await this.#edit(choice);
    else await this.#delete(choice);
  }

  async #create(choice: number): Promise<void> {
    const { device, box } = this;
    const version_nonce = this.#nonce();
    const category_id = this.random() < 0.5 ? this.#pick(this.#categories)[0] : undefined;
    if (choice === 0) {
      const answer = await postCategory(device, box, { version_nonce });
      this.#learn(this.#categories, answer, answer.value?.value, version_nonce);
    } else if (choice === 1) {
      const nonces = { entry_version_nonce: version_nonce, category_version_nonce: version_nonce };
      const answer = await postEntryAndCategory(device, box, nonces);
      this.#learn(this.#entries, answer, answer.value?.entry_id, version_nonce);
      this.#learn(this.#categories, answer, answer.value?.category_id, version_nonce);
    } else {
      const answer = await postEntry(device, box, { version_nonce, ...(category_id && { category_id }) });
      this.#learn(this.#entries, answer, answer.value?.value, version_nonce);
    }
  }

  #learn(rows: Map<string, bigint>, answer: Answer<unknown>, id: string | undefined, nonce: bigint): void {
    this.answers.push(answer);
    if (id === undefined) return;
    rows.set(id, nonce);
    this.created.push(id);
  }

  async #edit(choice: number): Promise<void> {
    const { device, box } = this;
    const version_nonce = this.#nonce();
    if (choice === 4) {
      this.answers.push(await putContainer(device, box, { version_nonce: 1n }));
      return;
    }
    const rows = choice === 5 ? this.#categories : this.#entries;
    const [id, expected_previous_version_nonce] = this.#pick(rows);
    const nonces = { version_nonce, expected_previous_version_nonce };
    const [category_id] = this.#pick(this.#categories);
    const answer =
      choice === 5
        ? await putCategory(device, box, id, nonces)
        : await putEntry(device, box, id, { ...nonces, ...(choice === 6 && { category_id }) });
    if (answer.status === 200) rows.set(id, version_nonce);
    this.answers.push(answer);
  }

  async #delete(choice: number): Promise<void> {
    const rows = choice === 8 ? this.#categories : this.#entries;
    const [id] = this.#pick(rows);
    rows.delete(id);
    const { device, box } = this;
    this.answers.push(await (choice === 8 ? device.deleteCategory(box, id) : device.deleteEntry(box, id)));
  }
}

/** A client that synchronises: it asks for what is above its cursor, keeps it, and moves the cursor. */
export class Poller {
  readonly rows = new Map<string, StoredRow>();
  readonly #numbersSeen = new Set<bigint>();
  cursor = 0n;
  polls = 0;

  constructor(
    readonly db: Db,
    readonly container_id: string,
  ) {}

  async poll(): Promise<void> {
    this.polls++;
    for (const row of await changesSince(this.db, this.container_id, this.cursor)) {
      expect(this.#numbersSeen.has(row.sequence)).toBe(false);
      this.#numbersSeen.add(row.sequence);
      this.rows.set(row.id, row);
      this.cursor = row.sequence;
    }
  }

  async expectSynchronised(): Promise<void> {
    await this.poll();
    const byId = (rows: Iterable<StoredRow>) =>
      [...rows].map((row) => ({ ...row })).sort((a, b) => (a.id < b.id ? -1 : 1));
    expect(byId(this.rows.values())).toEqual(byId(await changesSince(this.db, this.container_id, 0n)));
    await expectHeadIsExact(this.db, this.container_id);
  }
}

/**
 * Runs 8 writers to their end, spread over the servers, and a poller beside them.
 *
 * @param outside connections that no server uses
 * @param meanwhile is repeated until the writers have ended
 */
export async function runHistory(
  servers: readonly [TestServer, TestServer],
  outside: Db,
  { seed, steps, meanwhile }: { seed: number; steps: number; meanwhile?: (random: () => number) => Promise<void> },
): Promise<{ box: Box; writers: Writer[]; poller: Poller }> {
  const box = await anyDevice(servers[0]).createContainer();
  const writers = times(8, (index) => {
    const device = anyDevice(servers[index % 2 ? 0 : 1], index % 4 < 2 ? "protobuf" : "json");
    return new Writer(device, box, seededRandom(seed * 100 + index));
  });
  const poller = new Poller(outside, box.id);
  let isOver = false;
  const polling = (async () => {
    while (!isOver) {
      await poller.poll();
      await Bun.sleep(0);
    }
  })();
  const random = seededRandom(seed);
  const disturbing = (async () => {
    while (!isOver && meanwhile) await meanwhile(random);
  })();
  await Promise.all(
    writers.map(async (writer) => {
      for (let step = 0; step < steps; step++) await writer.step();
    }),
  ).finally(() => {
    isOver = true;
  });
  await Promise.all([polling, disturbing]);
  return { box, writers, poller };
}
