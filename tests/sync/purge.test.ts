/** C10: tombstones are purged when they are old, and what that means for clients that were away. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { sync as queries } from "../../src/db/queries.ts";
import type { Db, Executor } from "../../src/db/query.ts";
import { countRows, DAY_MS, MINUTE_MS, noteDeletes, runJob } from "../jobs/jobRows.ts";
import type { Box, Device } from "../support/client.ts";
import { anyDevice, expectEmptyOk, expectError, postEntryAndCategory, putEntry } from "../support/containerCalls.ts";
import { changesSince, expectHeadIsExact } from "../support/containerRows.ts";
import { someoneWaits } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { changesOf, SyncClient } from "../support/syncClient.ts";
import { ageTombstones, expectSameAsFetched, storeEntries } from "./copies.ts";

let server: TestServer;
let db: Db;
let device: Device;
let box: Box;
beforeAll(async () => {
  server = await startTestServer();
  db = server.db;
  device = anyDevice(server);
});
beforeEach(async () => {
  box = await device.createContainer();
});
afterAll(() => server.stop());

const purge = () => runJob(server, "Purge Tombstones");
const idsIn = async () => (await changesSince(db, box.id, 0n)).map(({ id }) => id);

async function deletedEntry(of = box): Promise<string> {
  const id = await device.createEntry(of);
  expectEmptyOk(await device.deleteEntry(of, id));
  return id;
}

async function purgedSequence(): Promise<bigint> {
  const [row] = await db`select purged_sequence from container_heads where container_id = ${box.id}`;
  return row?.purged_sequence as bigint;
}

describe("C10: what is purged", () => {
  test("tombstones older than 365 days go; younger ones and live rows stay, however old", async () => {
    const live = await device.createEntry(box);
    const pair = (await postEntryAndCategory(device, box)).value;
    expectEmptyOk(await device.deleteCategory(box, pair?.category_id ?? ""));
    const deleted = await deletedEntry();
    server.clock.aheadMs = 365 * DAY_MS - MINUTE_MS;
    expect(await purge()).toBe(0);
    server.clock.aheadMs = 365 * DAY_MS + MINUTE_MS;
    expect(await purge()).toBe(2);
    server.clock.aheadMs = 0;
    expect(await idsIn()).toEqual([box.id, live, pair?.entry_id ?? ""]);
    expect(await idsIn()).not.toContain(deleted);
    await expectHeadIsExact(db, box.id);
  });

  test("ENTRIES_TOMBSTONE_MAX_AGE_DAYS is the operator's", async () => {
    const impatient = await startTestServer({ ENTRIES_TOMBSTONE_MAX_AGE_DAYS: "30" }, server.database);
    await deletedEntry();
    impatient.clock.aheadMs = 30 * DAY_MS - MINUTE_MS;
    expect(await runJob(impatient, "Purge Tombstones")).toBe(0);
    impatient.clock.aheadMs += 2 * MINUTE_MS;
    expect(await runJob(impatient, "Purge Tombstones")).toBe(1);
    await impatient.stop();
  });

  test("a category that an entry still refers to, as the reference left some, stays: no entry changes unnumbered", async () => {
    const pair = (await postEntryAndCategory(device, box)).value;
    const category_id = pair?.category_id ?? "";
    await db`
      update categories set encrypted_blob = '', deleted_at = '2020-01-01', modified_timestamp = '2020-01-01'
      where id = ${category_id}`;
    expect(await purge()).toBe(0);
    expect(await idsIn()).toContain(category_id);
    expect((await device.read(box)).entries[0]?.category_id).toBe(category_id);
    // The entry leaves it, and it goes.
    expectEmptyOk(await putEntry(device, box, pair?.entry_id ?? ""));
    expect(await purge()).toBe(1);
  });

  test("2,500 tombstones in three containers go in steps of at most 1,000", async () => {
    const boxes = [box, await device.createContainer(), await device.createContainer()];
    for (const [index, of] of boxes.entries()) await storeEntries(db, of, [1_700, 500, 300][index] ?? 0);
    await db`
      update entries set deleted_at = '2020-01-01', encrypted_blob = ''
      where container_id = any(${boxes.map(({ id }) => id)}::uuid[])`;
    const deletes = await noteDeletes(db, "entries");
    expect(await purge()).toBe(2_500);
    expect(await deletes.sizes()).toEqual([1_000, 1_000, 500]);
    for (const of of boxes) await expectHeadIsExact(db, of.id);
  });

  test("two runs at once remove each tombstone once, and neither fails", async () => {
    const boxes: Box[] = [];
    for (let count = 0; count < 10; count++) {
      const of = await device.createContainer();
      await storeEntries(db, of, 300);
      boxes.push(of);
    }
    await db`
      update entries set deleted_at = '2020-01-01', encrypted_blob = ''
      where container_id = any(${boxes.map(({ id }) => id)}::uuid[])`;
    const removed = await Promise.all([purge(), purge()]);
    // A container that one of them works on is skipped by the other: what is left is for the next run.
    const left = await countRows(db, "entries", "deleted_at < '2021-01-01'");
    expect(removed[0] + removed[1] + left).toBe(3_000);
    expect(await purge()).toBe(left);
    for (const of of boxes) expect((await changesOf(device, of, 300n)).reset).toBe(true);
  });
});

describe("C10: clients that were away", () => {
  test("purged_sequence is the highest purged number: an older cursor starts over, from there on none does", async () => {
    const first = await device.createEntry(box); // number 2
    const deleted = [await deletedEntry(), await deletedEntry()]; // numbers 4 and 6
    const last = await device.createEntry(box); // number 7
    await ageTombstones(db, box);
    expect(await purge()).toBe(2);
    expect(await purgedSequence()).toBe(6n);
    for (const since of [1n, 2n, 3n, 4n, 5n]) {
      const changes = await changesOf(device, box, since);
      expect(changes).toMatchObject({ reset: true, more: false, cursor: 7n });
      expect(changes.container).toBeDefined();
      expect(changes.entries.map(({ id }) => id)).toEqual([first, last]);
      expect(changes.entries.map(({ id }) => id)).not.toContain(deleted[0]);
    }
    expect(await changesOf(device, box, 6n)).toMatchObject({ reset: false, cursor: 7n, entries: [{ id: last }] });
    expect(await changesOf(device, box, 7n)).toMatchObject({ reset: false, cursor: 7n, entries: [] });
    // Who begins has nothing to drop.
    expect(await changesOf(device, box, 0n)).toMatchObject({ reset: false, cursor: 7n });
  });

  test("the newest change was purged: the cursor is the container's number all the same, and nobody starts over twice", async () => {
    await deletedEntry();
    await ageTombstones(db, box);
    expect(await purge()).toBe(1);
    const client = new SyncClient(device, [box]);
    client.copyOf(box).cursor = 2n;
    for (let poll = 0; poll < 3; poll++) expect(await client.poll()).toBe(false);
    expect(client.copyOf(box)).toMatchObject({ cursor: 3n, resets: 1 });
    await expectSameAsFetched(client.copyOf(box), device, box);
  });

  test("who reads from the beginning after a purge gets to the end in small pages, without starting over", async () => {
    await storeEntries(db, box, 50, 100);
    await deletedEntry();
    await device.createEntry(box);
    await ageTombstones(db, box);
    expect(await purge()).toBe(1);
    const client = new SyncClient(device, [box], 500);
    await client.catchUp();
    expect(client.polls).toBeGreaterThan(20);
    expect(client.resets).toBe(0);
    expect(client.copyOf(box).cursor).toBe(54n);
    await expectSameAsFetched(client.copyOf(box), device, box);
    expect(await client.poll()).toBe(false);
  });

  test("who starts over because of a purge gets to the end in small pages, having dropped its copy once", async () => {
    const client = new SyncClient(device, [box], 500);
    await storeEntries(db, box, 50, 100);
    const victim = await device.createEntry(box);
    await client.catchUp();
    expect(client.copyOf(box).entries.has(victim)).toBe(true);
    await device.deleteEntry(box, victim);
    await device.createEntry(box);
    await ageTombstones(db, box);
    expect(await purge()).toBe(1);
    await client.catchUp();
    expect(client.resets).toBe(1);
    await expectSameAsFetched(client.copyOf(box), device, box);
  });

  test("a purge while somebody reads from the beginning: of a row that was read already, so that it starts over", async () => {
    await storeEntries(db, box, 50, 100);
    await deletedEntry();
    const [victim = ""] = (await idsIn()).slice(1);
    await ageTombstones(db, box);
    await purge();
    const client = new SyncClient(device, [box], 500);
    for (let page = 0; page < 5; page++) expect(await client.poll()).toBe(true);
    expect(client.copyOf(box).entries.has(victim)).toBe(true);
    await device.deleteEntry(box, victim);
    await ageTombstones(db, box);
    expect(await purge()).toBe(1);
    await client.catchUp();
    expect(client.resets).toBe(1);
    await expectSameAsFetched(client.copyOf(box), device, box);
  });
});

describe("C10: a purge and an edit that revives the tombstone lose nothing", () => {
  /** Prepares the edit of a tombstone by a client that has seen it. */
  async function revivalOf(id: string) {
    const [row] = await db`select version_nonce from entries where id = ${id}`;
    return () => putEntry(device, box, id, { expected_previous_version_nonce: row?.version_nonce as bigint });
  }

  async function oldTombstone(): Promise<string> {
    const id = await deletedEntry();
    await ageTombstones(db, box);
    return id;
  }

  test("an edit that holds the container's lock: the purge leaves the container alone", async () => {
    const id = await oldTombstone();
    await db.begin(async (transaction) => {
      await transaction`select from container_heads where container_id = ${box.id} for update`;
      expect(await purge()).toBe(0);
      await transaction`update entries set deleted_at = null where id = ${id}`;
    });
    expect(await purge()).toBe(0);
    expect(await idsIn()).toContain(id);
    await expectHeadIsExact(db, box.id);
  });

  test("an edit that is committed while the purge waits for the row: the purge looks at it again", async () => {
    const id = await oldTombstone();
    let purged: Promise<number> | undefined;
    await db.begin(async (transaction) => {
      await transaction`select from entries where id = ${id} for update`;
      purged = purge();
      await someoneWaits(db, 1);
      // As if it had been revived and deleted again; the container's lock is the purge's.
      await transaction`update entries set deleted_at = timezone('utc', now()) where id = ${id}`;
    });
    expect(await purged).toBe(0);
    expect(await idsIn()).toContain(id);
    expect(await purgedSequence()).toBe(0n);
  });

  test("an edit that waits behind the purge: there is no such entry any more", async () => {
    const id = await oldTombstone();
    const revive = await revivalOf(id);
    let edit: ReturnType<typeof putEntry> | undefined;
    await db.begin(async (transaction) => {
      expect(await purgeIn(transaction)).toBe(1);
      edit = revive();
      await someoneWaits(db, 1);
    });
    if (!edit) throw new Error("nothing was edited");
    expectError(await edit, "ENTRY_DOES_NOT_EXIST");
    await expectHeadIsExact(db, box.id);
  });

  test("in any order: an edit that was answered 200 is stored, a refused one finds no entry", async () => {
    const outcomes = { revived: 0, purged: 0 };
    const client = new SyncClient(device, [box]);
    for (let round = 0; round < 60; round++) {
      const id = await oldTombstone();
      const revive = await revivalOf(id);
      const [answer] = await Promise.all([revive(), Bun.sleep(round % 3).then(purge), client.poll()]);
      const isStored = (await idsIn()).includes(id);
      if (answer.status === 200) outcomes.revived++;
      else {
        expectError(answer, "ENTRY_DOES_NOT_EXIST");
        outcomes.purged++;
      }
      expect(isStored).toBe(answer.status === 200);
    }
    expect(outcomes.revived).toBeGreaterThan(0);
    await expectHeadIsExact(db, box.id);
    await client.catchUp();
    await expectSameAsFetched(client.copyOf(box), device, box);
  });
});

/** The job's first statement inside a transaction of the test. */
async function purgeIn(transaction: Executor): Promise<number> {
  const { removed } = await queries.purge_entries(transaction, {
    deleted_before: BigInt(Date.now() - 365 * DAY_MS) * 1000n,
    rows_max: 1000n,
  });
  return removed;
}
