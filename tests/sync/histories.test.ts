/**
 * C6, C10: random histories of two containers: rows are made, edited, deleted, revived and purged, containers soft-deleted
 * and revived, and clients with pages of any size ask now and then. In the end each has exactly what a fetch shows.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { runJob } from "../jobs/jobRows.ts";
import type { Box, Device } from "../support/client.ts";
import { anyDevice, putCategory, putEntry } from "../support/containerCalls.ts";
import { expectHeadIsExact } from "../support/containerRows.ts";
import { Writer } from "../support/histories.ts";
import { seededRandom } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { SyncClient } from "../support/syncClient.ts";
import { ageTombstones, editContainer, expectSameAsFetched, softDeleteContainer } from "./copies.ts";

const HISTORIES = 240;
const GROUP = 40;
const STEPS = 60;
/** A row or two, some rows, everything. */
const PAGE_BYTES = [1, 400, 1_000, undefined];

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** How often each thing happened, so that the test shows what it has tried. */
const seen = { polls: 0, resets: 0, purged: 0, revived: 0, softDeleted: 0, cursorsOfReaders: 0 };

class History {
  readonly writers: readonly Writer[];
  readonly clients: readonly SyncClient[];

  constructor(
    readonly device: Device,
    readonly boxes: readonly [Box, Box],
    readonly random: () => number,
  ) {
    this.writers = [0, 1, 0, 1].map((index) => new Writer(device, this.#box(index), random));
    // The first asks often, the last hardly ever.
    this.clients = (["protobuf", "json", "protobuf"] as const).map((encoding, index) => {
      return new SyncClient(anyDevice(server, encoding), index === 1 ? boxes.toReversed() : boxes);
    });
  }

  #box(index: number): Box {
    return this.boxes[index === 0 ? 0 : 1];
  }

  #pick<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.random() * items.length)];
  }

  async step(): Promise<void> {
    const chance = this.random();
    const box = this.#box(this.random() < 0.7 ? 0 : 1);
    if (chance < 0.6) await this.#pick(this.writers)?.step();
    else if (chance < 0.85) await this.#poll();
    else if (chance < 0.91) await this.#revive(box);
    else if (chance < 0.97) await this.#purge(box);
    else await this.#toggle(box);
  }

  async #poll(): Promise<void> {
    const [often, , hardlyEver] = this.clients;
    const client = this.random() < 0.1 ? hardlyEver : this.random() < 0.5 ? often : this.clients[1];
    if (!client) return;
    client.max_bytes = this.#pick(PAGE_BYTES);
    await client.poll();
    for (const { cursor } of client.copies.values()) if (cursor >= 2n ** 63n) seen.cursorsOfReaders++;
  }

  async #revive(box: Box): Promise<void> {
    const { categories, entries } = await this.device.read(box);
    const nonces = (row: { version_nonce: bigint }) => ({ expected_previous_version_nonce: row.version_nonce });
    const entry = this.#pick(entries.filter((row) => row.deleted_at !== undefined));
    const category = this.#pick(categories.filter((row) => row.deleted_at !== undefined));
    const answer = entry
      ? await putEntry(this.device, box, entry.id, nonces(entry))
      : category && (await putCategory(this.device, box, category.id, nonces(category)));
    if (!answer) return;
    expect(answer.status).toBe(200);
    seen.revived++;
  }

  async #purge(box: Box): Promise<void> {
    await ageTombstones(server.db, box, this.#pick([1, 1, 2, 3]));
    seen.purged += await runJob(server, "Purge Tombstones");
  }

  async #toggle(box: Box): Promise<void> {
    const { deleted_at } = await this.device.read(box);
    if (deleted_at !== undefined) return editContainer(this.device, box);
    await softDeleteContainer(server.db, box);
    seen.softDeleted++;
  }

  async end(): Promise<void> {
    for (const client of this.clients) {
      client.max_bytes = this.#pick(PAGE_BYTES);
      await client.catchUp();
      for (const box of this.boxes) await expectSameAsFetched(client.copyOf(box), this.device, box);
      // Once there, it stays there.
      const { resets } = client;
      expect(await client.poll()).toBe(false);
      expect(client.resets).toBe(resets);
      seen.polls += client.polls;
      seen.resets += resets;
    }
    for (const box of this.boxes) await expectHeadIsExact(server.db, box.id);
  }
}

async function runHistory(seed: number): Promise<void> {
  const device = anyDevice(server);
  const boxes = [await device.createContainer(), await device.createContainer()] as const;
  const history = new History(device, boxes, seededRandom(seed));
  for (let step = 0; step < STEPS; step++) await history.step();
  await history.end();
}

const groups = Array.from({ length: HISTORIES / GROUP }, (_, group) => group * GROUP);

test.each(groups)("C6, C10: every client ends with the server's rows: histories from seed %i on", async (first) => {
  for (let seed = first; seed < first + GROUP; seed++) {
    await runHistory(seed).catch((error: unknown) => {
      throw new Error(`history ${seed} failed`, { cause: error });
    });
  }
});

test("C6, C10: the histories have tried everything", () => {
  for (const [what, count] of Object.entries(seen)) expect([what, count > HISTORIES / 10]).toEqual([what, true]);
});
