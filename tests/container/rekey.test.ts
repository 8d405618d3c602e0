/** PUT /api/container/rekey (C9, new-messages.md). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { ContainerRekey } from "../../src/container/messages.ts";
import type { Box, Device } from "../support/client.ts";
import {
  addKey,
  anyDevice,
  ENCODINGS,
  expectEmptyOk,
  expectError,
  INT64_MAX,
  INT64_MIN,
  putCategory,
  putContainer,
  putEntry,
  setReadOnly,
  speaking,
} from "../support/containerCalls.ts";
import { changesSince, expectHeadIsExact, expectNumbered, expectUnchanged, headOf } from "../support/containerRows.ts";
import { createTestDatabase } from "../support/database.ts";
import { putRekey, rekeyOf } from "../support/memberCalls.ts";
import { expectRekeyed, newBusyBox } from "../support/rekeyedRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { type WatchedDatabase, watchStatements } from "../support/statements.ts";
import { boxOf, newCategory, newEntry, newUpload, upload } from "../support/uploadCalls.ts";
import { newWriteTarget } from "../support/writes.ts";

const SMALL = 4 * 1024;

let watch: WatchedDatabase;
let server: TestServer;
let device: Device;
beforeAll(async () => {
  watch = watchStatements(await createTestDatabase());
  server = await startTestServer({}, watch.database);
  device = anyDevice(server);
});
afterAll(() => server.stop());

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

async function timesOf({ id }: Box): Promise<Map<string, bigint>> {
  const rows = await server.db<{ id: string; time: bigint }[]>`
    select id, modified_timestamp as time from containers where id = ${id}
    union all select id, modified_timestamp from categories where container_id = ${id}
    union all select id, modified_timestamp from entries where container_id = ${id}`;
  return new Map(rows.map((row) => [row.id, row.time]));
}

describe.each(ENCODINGS)("re-keying in %s", (encoding) => {
  let by: Device;
  beforeAll(() => {
    by = speaking(encoding, device, server);
  });

  async function expectRefused(type: Parameters<typeof expectError>[1], box: Box, rekey: ContainerRekey) {
    await expectUnchanged(server.db, async () => expectError(await putRekey(by, box, rekey), type));
  }

  test("C9: replaces the blob and nonce of the container and of every live row; tombstones and references stay", async () => {
    const box = await newBusyBox(device);
    const before = await changesSince(server.db, box.id, 0n);
    expect(before.filter(({ deleted_at }) => deleted_at !== null)).toHaveLength(2);
    const rekey = await rekeyOf(device, box);
    expectEmptyOk(await putRekey(by, box, rekey));
    await expectRekeyed(server.db, box, rekey, before);
  });

  test("C6: every changed row gets a number of its own, and a client that follows gets exactly these rows", async () => {
    const box = await newBusyBox(device);
    const { last_sequence } = await headOf(server.db, box.id);
    const rekey = await rekeyOf(device, box);
    const live = [box.id, ...rekey.categories.map(({ id }) => id), ...rekey.entries.map(({ id }) => id)];
    await expectNumbered(server.db, box.id, async () => {
      expectEmptyOk(await putRekey(by, box, rekey));
      return live;
    });
    const changes = await changesSince(server.db, box.id, last_sequence);
    expect(changes.map(({ sequence }) => sequence)).toEqual(times(6, (index) => last_sequence + BigInt(index + 1)));
    expect(await headOf(server.db, box.id)).toEqual({
      last_sequence: last_sequence + 6n,
      live_entries: 3,
      live_categories: 2,
    });
  });

  test("3.1: changed rows have the database's time, tombstones keep theirs", async () => {
    const box = await newBusyBox(device);
    const before = await timesOf(box);
    const rekey = await rekeyOf(device, box);
    const [{ now } = { now: 0n }] = await server.db<{ now: bigint }[]>`select timezone('utc', now()) as now`;
    expectEmptyOk(await putRekey(by, box, rekey));
    const changed = new Set([box.id, ...[...rekey.categories, ...rekey.entries].map(({ id }) => id)]);
    for (const [id, time] of await timesOf(box)) {
      if (changed.has(id)) expect(time).toBeGreaterThan(now);
      else expect(time).toBe(before.get(id) ?? 0n);
    }
  });

  test("a container without rows is re-keyed alone; nonces may be any, the old one too (3)", async () => {
    const box = await by.createContainer();
    const container = { encrypted_blob: new Uint8Array(0), version_nonce: 1n, expected_previous_version_nonce: 1n };
    expectEmptyOk(await putRekey(by, box, { container, categories: [], entries: [] }));
    const { encrypted_blob, version_nonce } = await by.read(box);
    expect([encrypted_blob.length, version_nonce]).toEqual([0, 1n]);

    const target = await newWriteTarget(by);
    const extremes = times(3, (index) => (index % 2 ? INT64_MIN : INT64_MAX));
    expectEmptyOk(await putRekey(by, target.box, await rekeyOf(by, target.box, () => extremes.pop() ?? 0n)));
    expect((await by.read(target.box)).entries.map((row) => row.version_nonce)).toEqual([INT64_MAX]);
  });

  test("C9: naming not every live row, or one that is not, is INVALID_STATE and changes nothing", async () => {
    const box = await newBusyBox(device);
    const rekey = await rekeyOf(device, box);
    const { entries, categories } = rekey;
    const [entry, ...otherEntries] = entries;
    const [category, ...otherCategories] = categories;
    if (!entry || !category) throw new Error("the container is empty");
    await expectRefused("INVALID_STATE", box, { ...rekey, entries: otherEntries });
    await expectRefused("INVALID_STATE", box, { ...rekey, categories: otherCategories });
    await expectRefused("INVALID_STATE", box, { ...rekey, entries: [], categories: [] });
    const unknown = { ...entry, id: Bun.randomUUIDv7() };
    await expectRefused("INVALID_STATE", box, { ...rekey, entries: [...entries, unknown] });
    await expectRefused("INVALID_STATE", box, { ...rekey, entries: [unknown, ...otherEntries] });
    await expectRefused("INVALID_STATE", box, {
      ...rekey,
      categories: [...categories, { ...category, id: unknown.id }],
    });
  });

  test("C9: a row named twice is INVALID_STATE, alike or not", async () => {
    const box = await newBusyBox(device);
    const rekey = await rekeyOf(device, box);
    const [entry, ...otherEntries] = rekey.entries;
    const [category] = rekey.categories;
    if (!entry || !category) throw new Error("the container is empty");
    await expectRefused("INVALID_STATE", box, { ...rekey, entries: [entry, ...otherEntries, entry] });
    await expectRefused("INVALID_STATE", box, { ...rekey, entries: [entry, entry, ...otherEntries.slice(1)] });
    const other = { ...category, encrypted_blob: randomBytes(3) };
    await expectRefused("INVALID_STATE", box, { ...rekey, categories: [...rekey.categories, other] });
  });

  test("C9: a tombstone, a row of another container and a row of the other kind are none that can be named", async () => {
    const box = await newBusyBox(device);
    const rekey = await rekeyOf(device, box);
    const stored = await changesSince(server.db, box.id, 0n);
    const item = ({ id, version_nonce }: { id: string; version_nonce: bigint }) => ({
      id,
      encrypted_blob: randomBytes(3),
      version_nonce: 5n,
      expected_previous_version_nonce: version_nonce,
    });
    for (const tombstone of stored.filter(({ deleted_at }) => deleted_at !== null)) {
      const field = tombstone.kind === "entry" ? "entries" : "categories";
      await expectRefused("INVALID_STATE", box, { ...rekey, [field]: [...rekey[field], item(tombstone)] });
    }
    const stranger = await rekeyOf(device, await newBusyBox(device));
    await expectRefused("INVALID_STATE", box, { ...rekey, entries: [...rekey.entries, ...stranger.entries] });
    await expectRefused("INVALID_STATE", box, { ...rekey, entries: stranger.entries });
    await expectRefused("INVALID_STATE", box, { ...rekey, categories: rekey.entries, entries: rekey.categories });
    const [moved, ...rest] = rekey.categories;
    if (moved)
      await expectRefused("INVALID_STATE", box, { ...rekey, categories: rest, entries: [...rekey.entries, moved] });
  });

  test("C9: one stale nonce, of the container or of any row, is OUT_OF_DATE and changes nothing", async () => {
    const box = await newBusyBox(device);
    const rekey = await rekeyOf(device, box);
    const stale = <Item extends { expected_previous_version_nonce: bigint }>(item: Item): Item => ({
      ...item,
      expected_previous_version_nonce: item.expected_previous_version_nonce + 1n,
    });
    await expectRefused("OUT_OF_DATE", box, { ...rekey, container: stale(rekey.container) });
    for (const field of ["categories", "entries"] as const) {
      for (const victim of rekey[field]) {
        const items = rekey[field].map((item) => (item === victim ? stale(item) : item));
        await expectRefused("OUT_OF_DATE", box, { ...rekey, [field]: items });
      }
    }
    const [missing, ...entries] = rekey.entries.map(stale);
    expect(missing).toBeDefined();
    await expectRefused("INVALID_STATE", box, { ...rekey, entries });
    expectEmptyOk(await putRekey(by, box, rekey));
  });

  test("C9: sizes are checked first: each blob over the limit is INPUT_TOO_LARGE, exactly the limit is stored", async () => {
    const box = await newBusyBox(device);
    const rekey = await rekeyOf(device, box);
    const sized = <Item extends object>(item: Item, bytes: number) => ({ ...item, encrypted_blob: randomBytes(bytes) });
    const [entry, ...entries] = rekey.entries;
    const [category, ...categories] = rekey.categories;
    if (!entry || !category) throw new Error("the container is empty");
    await expectRefused("INPUT_TOO_LARGE", box, { ...rekey, container: sized(rekey.container, SMALL + 1) });
    await expectRefused("INPUT_TOO_LARGE", box, { ...rekey, categories: [...categories, sized(category, SMALL + 1)] });
    await expectRefused("INPUT_TOO_LARGE", box, { ...rekey, entries: [...entries, sized(entry, SMALL + 1)] });
    await expectRefused("INPUT_TOO_LARGE", box, { ...rekey, entries: [entry, entry, sized(entry, SMALL + 1)] });
    const largest = {
      container: sized(rekey.container, SMALL),
      categories: rekey.categories.map((item) => sized(item, SMALL)),
      entries: rekey.entries.map((item) => sized(item, SMALL)),
    };
    expectEmptyOk(await putRekey(by, box, largest));
    expect((await by.read(box)).entries.map((row) => row.encrypted_blob.length)).toEqual([SMALL, SMALL, SMALL, 0]);
  });

  test("a read-only key is READ_ONLY_ACCESS, also one whose cached flag is old; another key may re-key", async () => {
    const box = await newBusyBox(device);
    const [reader, guest] = [await addKey(server.db, box, { read_only: true }), await addKey(server.db, box)];
    const rekey = await rekeyOf(device, box);
    await expectRefused("READ_ONLY_ACCESS", reader, rekey);
    expect((await by.fetch([guest.token()])).status).toBe(200);
    await setReadOnly(server.db, guest, true);
    await expectRefused("READ_ONLY_ACCESS", guest, rekey);
    await setReadOnly(server.db, guest, false);
    expectEmptyOk(await putRekey(by, guest, rekey));
  });

  test("3.2: a soft-deleted container is re-keyed and stays deleted", async () => {
    const box = await newBusyBox(device);
    const rekey = await rekeyOf(device, box);
    await server.db`update containers set deleted_at = timezone('utc', now()) where id = ${box.id}`;
    expectEmptyOk(await putRekey(by, box, rekey));
    const [row] = await server.db`select deleted_at is not null as is_dead from containers where id = ${box.id}`;
    expect(row?.is_dead).toBe(true);
  });

  test("W5: afterwards an edit that has not seen it is OUT_OF_DATE, one that has is 200", async () => {
    const target = await newWriteTarget(by);
    expectEmptyOk(await putRekey(by, target.box, await rekeyOf(by, target.box, () => 40n)));
    expectError(await putEntry(by, target.box, target.entry_id), "OUT_OF_DATE");
    expectError(await putCategory(by, target.box, target.category_id), "OUT_OF_DATE");
    expectError(await putContainer(by, target.box), "OUT_OF_DATE");
    const seen = { expected_previous_version_nonce: 40n };
    expectEmptyOk(await putEntry(by, target.box, target.entry_id, seen));
    expectEmptyOk(await putCategory(by, target.box, target.category_id, seen));
    expectEmptyOk(await putContainer(by, target.box, seen));
  });
});

describe("C9: thousands of rows", () => {
  /** The statements up to the first commit; what other clients are told of comes after. */
  function takeTransaction(): string[] {
    const statements = watch.take();
    return statements.slice(0, statements.indexOf("commit") + 1);
  }

  async function largeBox(): Promise<Box> {
    const categories = times(300, (index) => newCategory(index));
    const entries = times(3000, (index) =>
      newEntry(index, { ...(index % 7 > 0 && { category_temp_id: index % 300 }), encrypted_blob: randomBytes(1024) }),
    );
    const { container, privateKey } = newUpload({ categories, entries });
    return boxOf((await upload(device, container)).value, privateKey);
  }

  test("3,000 entries and 300 categories are re-keyed in one request, in one transaction", async () => {
    const box = await largeBox();
    const before = await changesSince(server.db, box.id, 0n);
    const rekey = await rekeyOf(device, box);
    watch.take();
    expectEmptyOk(await putRekey(device, box, rekey));
    const statements = takeTransaction();
    expect([statements[0], statements.at(-1)]).toEqual(["begin", "commit"]);
    expect(statements.filter((text) => text.includes("update entries"))).toHaveLength(2);
    await expectRekeyed(server.db, box, rekey, before);
    expect(await headOf(server.db, box.id)).toMatchObject({ last_sequence: 6602n });
    await expectHeadIsExact(server.db, box.id);
  });

  test("one stale nonce, the last of all, leaves the other 3,300 rows as they are", async () => {
    const box = await largeBox();
    const rekey = await rekeyOf(device, box);
    const last = rekey.entries.at(-1);
    if (last) last.expected_previous_version_nonce += 1n;
    await expectUnchanged(server.db, async () => expectError(await putRekey(device, box, rekey), "OUT_OF_DATE"));
  });

  test("a failure after thousands of rows leaves all of them as they are", async () => {
    const box = await largeBox();
    const rekey = await rekeyOf(device, box);
    const victim = rekey.entries.at(-1)?.id ?? "";
    await server.db.unsafe(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$;
      create trigger refuse before update on entries for each row when (new.id = '${victim}') execute function refuse();`);
    await expectUnchanged(server.db, async () => expectError(await putRekey(device, box, rekey), "INTERNAL_ERROR"));
    await server.db.unsafe("drop trigger refuse on entries; drop function refuse()");
    expectEmptyOk(await putRekey(device, box, rekey));
  });

  test("C11: a container that holds more than an operator's new caps can still be re-keyed", async () => {
    const box = await newBusyBox(device);
    const tight = await startTestServer(
      { ENTRIES_MAX_ENTRIES_PER_CONTAINER: "2", ENTRIES_MAX_CATEGORIES_PER_CONTAINER: "1" },
      server.database,
    );
    expectEmptyOk(await putRekey(anyDevice(tight), box, await rekeyOf(device, box)));
    await tight.stop();
  });

  test("a small one costs seven round trips", async () => {
    const box = await newBusyBox(device);
    const rekey = await rekeyOf(device, box);
    watch.take();
    await putRekey(device, box, rekey);
    expect(takeTransaction()).toHaveLength(7);
  });
});
