/** Pages of POST /api/container/changes: by bytes and by rows, and what they cost. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Db } from "../../src/db/query.ts";
import { type ContainerChanges, ContainerChangesList, ContainerChangesRequest } from "../../src/sync/messages.ts";
import type { Box, Device } from "../support/client.ts";
import { anyDevice, postEntryAndCategory } from "../support/containerCalls.ts";
import { changesSince } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { changesOf, LocalCopy, postChanges, SyncClient } from "../support/syncClient.ts";
import { expectSameAsFetched, storeEntries } from "./copies.ts";

const MIB = 1024 * 1024;

let server: TestServer;
let device: Device;
beforeAll(async () => {
  server = await startTestServer();
  device = anyDevice(server);
});
afterAll(() => server.stop());

const rowsIn = ({ container, categories, entries }: ContainerChanges) =>
  (container ? 1 : 0) + categories.length + entries.length;

/** One page in protobuf. @returns the size of its body in bytes too */
async function pageOf(cursors: ContainerChangesRequest["containers"], max_bytes: number) {
  const response = await server.app.handle(
    new Request("http://localhost/api/container/changes", {
      method: "POST",
      headers: { ...device.headers(), "content-type": "application/protobuf" },
      body: ContainerChangesRequest.encodeProtobuf({ containers: cursors, max_bytes }),
    }),
  );
  expect(response.status).toBe(200);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { bytes: bytes.length, changes: ContainerChangesList.decodeProtobuf(bytes).changes };
}

/** A container with rows of every kind and blobs of any size, the largest of 4 KB, edited in any order. */
async function mixedContainer(rows: number): Promise<Box> {
  const box = await device.createContainer();
  const blob = () => randomBytes(Math.floor(4096 * Math.random() ** 4));
  for (let row = 0; row < rows; row++) {
    const pair = { entry_encrypted_blob: blob(), category_encrypted_blob: blob() };
    const { entry_id = "" } = (await postEntryAndCategory(device, box, pair)).value ?? {};
    if (row % 5 === 0) await device.deleteEntry(box, entry_id);
    if (row === rows >> 1) {
      const nonces = { version_nonce: 2n, expected_previous_version_nonce: 1n };
      await device.replaceContainer(box, { encrypted_blob: blob(), ...nonces });
    }
  }
  return box;
}

describe("C6: the order of rows", () => {
  test("a page holds the rows with the lowest numbers, of all kinds together; its cursor is the highest of them", async () => {
    const box = await mixedContainer(20);
    const stored = await changesSince(server.db, box.id, 0n);
    const seen: { id: string; sequence: bigint }[] = [];
    let since = 0n;
    for (let more = true; more; ) {
      // So little that each page holds one row.
      const page = await changesOf(device, box, since, 1);
      expect(rowsIn(page)).toBe(1);
      const [row] = [...page.categories, ...page.entries];
      seen.push({ id: row?.id ?? page.container_id, sequence: page.cursor });
      ({ cursor: since, more } = page);
    }
    expect(seen).toEqual(stored.map(({ id, sequence }) => ({ id, sequence })));
  });
});

describe("new-messages.md changes: max_bytes", () => {
  test("bounds the whole answer in protobuf, for any size; asking again continues exactly", async () => {
    const boxes = [await mixedContainer(15), await device.createContainer(), await mixedContainer(15)];
    for (const max_bytes of [300, 1_000, 4_300, 5_000, 20_000, 60_000]) {
      const copies = boxes.map(() => new LocalCopy());
      for (let more = true; more; ) {
        const cursors = boxes.map((box, index) => ({ token: box.token(), since: copies[index]?.cursor ?? 0n }));
        const { bytes, changes } = await pageOf(cursors, max_bytes);
        const rows = changes.reduce((sum, container) => sum + rowsIn(container), 0);
        if (rows > 1) expect(bytes).toBeLessThanOrEqual(max_bytes);
        for (const [index, page] of changes.entries()) copies[index]?.apply(page);
        more = changes.some((page) => page.more);
        if (more) expect(rows).toBeGreaterThan(0);
        // A page is full: the next row had no room.
        if (more && rows > 1) expect(bytes).toBeGreaterThan(max_bytes - 4_096 - 400);
      }
      for (const [index, box] of boxes.entries()) {
        await expectSameAsFetched(copies[index] ?? new LocalCopy(), device, box);
      }
    }
  });

  test("a row that is larger than max_bytes still goes out, alone", async () => {
    const box = await device.createContainer();
    const ids = [
      await device.createEntry(box, { encrypted_blob: randomBytes(4_000) }),
      await device.createEntry(box, { encrypted_blob: randomBytes(10) }),
    ];
    const first = await changesOf(device, box, 1n, 500);
    expect(first).toMatchObject({ more: true, cursor: 2n });
    expect(first.entries.map(({ id }) => id)).toEqual([ids[0] ?? ""]);
    const second = await changesOf(device, box, first.cursor, 500);
    expect(second).toMatchObject({ more: false, cursor: 3n });
    expect(second.entries.map(({ id }) => id)).toEqual([ids[1] ?? ""]);
  });

  test("containers for whose rows there is no room keep their cursor and say more; those with nothing new do not", async () => {
    const boxes: Box[] = [];
    for (let count = 0; count < 4; count++) boxes.push(await device.createContainer());
    const [full, quiet, waiting, lost] = boxes as [Box, Box, Box, Box];
    await storeEntries(server.db, full, 30, 100);
    const cursors = [
      { token: full.token(), since: 0n },
      { token: quiet.token(), since: 1n },
      { token: waiting.token(), since: 0n },
      { token: lost.token(), since: 99n },
    ];
    const { value } = await postChanges(device, cursors, 2_000);
    const [first, ...others] = value?.changes ?? [];
    expect(first?.more).toBe(true);
    expect(first?.entries.length).toBeGreaterThan(3);
    const none = { reset: false, categories: [], entries: [] };
    expect(others).toEqual([
      { container_id: quiet.id, cursor: 1n, more: false, ...none },
      { container_id: waiting.id, cursor: 0n, more: true, ...none },
      // It is told to start over when there is room for what it starts over with.
      { container_id: lost.id, cursor: 99n, more: true, ...none },
    ]);
    const rest = (await postChanges(device, cursors.slice(1), 2_000)).value?.changes;
    expect(rest?.map(({ more, reset, cursor }) => ({ more, reset, cursor }))).toEqual([
      { more: false, reset: false, cursor: 1n },
      { more: false, reset: false, cursor: 1n },
      { more: false, reset: true, cursor: 1n },
    ]);
  });

  test("without it a page has at most 4 MiB", async () => {
    const box = await device.createContainer();
    await storeEntries(server.db, box, 1_500, 4_000);
    const page = await changesOf(device, box);
    const bytes = ContainerChangesList.encodeProtobuf({ changes: [page] }).length;
    expect(page.more).toBe(true);
    expect(bytes).toBeLessThanOrEqual(4 * MIB);
    expect(bytes).toBeGreaterThan(4 * MIB - 64 * 1024);
    expect(await changesOf(device, box, 0n, 32 * MIB)).toMatchObject({ more: false, cursor: 1_501n });
  });

  test("C6: a page has at most 10,000 rows, however small they are", async () => {
    const boxes = [await device.createContainer(), await device.createContainer()] as const;
    await storeEntries(server.db, boxes[0], 9_998, 1);
    await storeEntries(server.db, boxes[1], 10, 1);
    const cursors = boxes.map((box) => ({ token: box.token(), since: 0n }));
    const { value } = await postChanges(device, cursors, 32 * MIB);
    expect(value?.changes.map(rowsIn)).toEqual([9_999, 1]);
    expect(value?.changes.map(({ more, cursor }) => [more, cursor])).toEqual([
      [false, 9_999n],
      [true, 1n],
    ]);
    const client = new SyncClient(device, boxes);
    await client.catchUp();
    expect(client.polls).toBe(2);
    for (const box of boxes) await expectSameAsFetched(client.copyOf(box), device, box);
  });
});

describe("C6: the cost grows with what changed, not with what is stored", () => {
  /** One session, since each looks up the schema once. */
  let session: Awaited<ReturnType<Db["reserve"]>>;
  beforeAll(async () => {
    session = await server.db.reserve();
  });
  afterAll(() => session.release());

  /** How many blocks one page looks at, unlike time the same in each run, and how many rows it answers. */
  async function costOf(cursors: readonly (readonly [box: Box, since: bigint])[], bytes_max = 4 * MIB) {
    const keys = cursors.map(([{ key_id }]) => `'${key_id}'`);
    const ids = cursors.map(([{ id }]) => `'${id}'`);
    const positions = cursors.map(([, since]) => since);
    const [row] = await session.unsafe(
      `explain (analyze, buffers, format json) select * from container_changes(array[${keys}]::uuid[],
       array[${ids}]::uuid[], array[${positions}]::bigint[], array_fill(-1, array[${keys.length}]), ${bytes_max}, 10000)`,
    );
    const plan: Record<string, number> = row?.["QUERY PLAN"][0].Plan;
    const { "Shared Hit Blocks": hit = 0, "Shared Read Blocks": read = 0, "Actual Rows": rows = 0 } = plan;
    return { blocks: hit + read, rows };
  }

  async function containersOf(count: number, entries: number, blobBytes: number): Promise<[Box, ...Box[]]> {
    const boxes: Box[] = [];
    for (let index = 0; index < count; index++) {
      const box = await device.createContainer();
      await storeEntries(server.db, box, entries, blobBytes);
      boxes.push(box);
    }
    await server.db.unsafe("vacuum analyze entries");
    const [first, ...others] = boxes as [Box, ...Box[]];
    await costOf([[first, 0n]], 1);
    return [first, ...others];
  }

  test("10 changes among 100, 10,000 and 100,000 entries: the same blocks", async () => {
    const blocks: number[] = [];
    for (const count of [100, 10_000, 100_000]) {
      const [box] = await containersOf(1, count, 100);
      const page = await costOf([[box, BigInt(count) - 9n]]);
      expect(page.rows).toBe(11); // and the one that ends the container
      blocks.push(page.blocks);
    }
    // An index of more entries has a level more.
    expect(Math.max(...blocks) / Math.min(...blocks)).toBeLessThanOrEqual(1.5);
  });

  test("a small page of a container with 100,000 changes looks at a slice of them", async () => {
    const [box] = await containersOf(1, 100_000, 100);
    const small = await costOf([[box, 50_000n]], 4_000);
    const large = await costOf([[box, 50_000n]]);
    expect(large.rows).toBe(10_001);
    expect(small.rows).toBeGreaterThan(10);
    expect(small.blocks).toBeLessThan(large.blocks / 20);
  });

  test("containers behind a full page are not looked into: 50 of them cost hardly more than the first", async () => {
    const boxes = await containersOf(50, 1_000, 1_000);
    const cursors = boxes.map((box) => [box, 0n] as const);
    const alone = await costOf(cursors.slice(0, 1), 500_000);
    const among = await costOf(cursors, 500_000);
    expect(alone.rows).toBeGreaterThan(400);
    expect(among.rows).toBe(alone.rows + 49);
    // Each of the others costs a look at its key and its head, a few blocks each.
    expect(among.blocks - alone.blocks).toBeLessThan(49 * 10);
  });

  test("nothing new: neither entries nor categories nor containers are looked at", async () => {
    const [box] = await containersOf(1, 1_000, 20);
    await server.db.begin(async (transaction) => {
      const scans = async () => {
        const [row] = await transaction`
          select coalesce(sum(coalesce(idx_scan, 0) + seq_scan), 0)::int as scans from pg_stat_xact_user_tables
          where relname in ('containers', 'categories', 'entries')`;
        return Number(row?.scans);
      };
      const page = (since: number) => transaction`
        select * from container_changes(array[${box.key_id}]::uuid[], array[${box.id}]::uuid[],
          array[${since}]::bigint[], array[-1], 1000, 1000)`;
      const before = await scans();
      expect(await page(1_001)).toHaveLength(0);
      expect(await scans()).toBe(before);
      expect(await page(1_000)).toHaveLength(2);
      expect(await scans()).toBeGreaterThan(before);
    });
  });
});
