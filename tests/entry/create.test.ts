import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Device } from "../support/client.ts";
import {
  categoryOf,
  ENCODINGS,
  entryOf,
  expectError,
  INT64_MAX,
  INT64_MIN,
  postCategory,
  postEntry,
  postEntryAndCategory,
  speaking,
  withoutRows,
} from "../support/containerCalls.ts";
import { expectNumbered } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const SMALL = 4 * 1024;

let server: TestServer;
let someone: Device;
beforeAll(async () => {
  server = await startTestServer();
  someone = await server.signUp();
});
afterAll(() => server.stop());

describe.each(ENCODINGS)("POST /api/container/entry in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  test("containers.md 11: entries with and without category are 201 and shown as they were; the container is unchanged", async () => {
    const box = await device.createContainer();
    const category_id = await device.createCategory(box);
    const before = await device.read(box);
    const blobs = [randomBytes(60), randomBytes(61)] as const;
    const bare = await postEntry(device, box, { encrypted_blob: blobs[0], version_nonce: INT64_MIN });
    const filed = await postEntry(device, box, { encrypted_blob: blobs[1], version_nonce: INT64_MAX, category_id });
    expect([bare.status, filed.status]).toEqual([201, 201]);

    const { entries, ...container } = await device.read(box);
    const { entries: none, ...containerBefore } = before;
    expect(none).toEqual([]);
    expect(container).toEqual(containerBefore);
    const shown = entries.map(({ modified_timestamp: _, encrypted_blob, ...rest }) => ({
      ...rest,
      blob: Buffer.from(encrypted_blob),
    }));
    expect(shown).toEqual([
      { id: bare.value?.value ?? "", container_id: box.id, blob: blobs[0], version_nonce: INT64_MIN },
      { id: filed.value?.value ?? "", container_id: box.id, blob: blobs[1], version_nonce: INT64_MAX, category_id },
    ]);
  });

  test("3.1: a new entry is timed by the application's clock", async () => {
    const box = await device.createContainer();
    server.clock.aheadMs = -3_600_000;
    const expected = BigInt(server.services.now()) * 1000n;
    const id = await device.createEntry(box);
    server.clock.aheadMs = 0;
    const { modified_timestamp } = entryOf(await device.read(box), id);
    expect(modified_timestamp - expected).toBeGreaterThanOrEqual(0n);
    expect(modified_timestamp - expected).toBeLessThan(10_000_000n);
  });

  test("W14: ids are of version 7, in the order of creation; a repeated create makes a second row", async () => {
    const box = await device.createContainer();
    const ids = [await device.createEntry(box), await device.createEntry(box), await device.createEntry(box)];
    expect(ids.map((id) => id[14])).toEqual(["7", "7", "7"]);
    expect((await device.read(box)).entries.map(({ id }) => id)).toEqual(ids);
  });

  test("W6: a category that is unknown, of another container or a tombstone is FOREIGN_KEY_DOES_NOT_EXIST", async () => {
    const box = await device.createContainer();
    const other = await device.createContainer();
    const foreign = await device.createCategory(other);
    const dead = await device.createCategory(box);
    await device.deleteCategory(box, dead);
    await expectNumbered(server.db, box.id, async () => {
      for (const category_id of [crypto.randomUUID(), foreign, dead]) {
        expectError(await postEntry(device, box, { category_id }), "FOREIGN_KEY_DOES_NOT_EXIST");
      }
      return [];
    });
    expect((await device.read(box)).entries).toEqual([]);
    expect((await device.read(other)).entries).toEqual([]);
  });

  test("4.5: a blob of exactly the limit and an empty one pass, one byte more is INPUT_TOO_LARGE, before the category is looked at (W8)", async () => {
    const box = await device.createContainer();
    const full = await device.createEntry(box, { encrypted_blob: randomBytes(SMALL) });
    const empty = await device.createEntry(box, { encrypted_blob: new Uint8Array(0) });
    const large = { encrypted_blob: randomBytes(SMALL + 1) };
    expectError(await postEntry(device, box, large), "INPUT_TOO_LARGE");
    expectError(await postEntry(device, box, { ...large, category_id: crypto.randomUUID() }), "INPUT_TOO_LARGE");
    const stored = await device.read(box);
    expect(stored.entries).toHaveLength(2);
    expect(entryOf(stored, full).encrypted_blob).toHaveLength(SMALL);
    expect(entryOf(stored, empty).encrypted_blob).toHaveLength(0);
  });

  test("C6: a new entry takes the next number, and nothing else does", async () => {
    const box = await device.createContainer();
    const category_id = await device.createCategory(box);
    await expectNumbered(server.db, box.id, async () => [await device.createEntry(box, { category_id })]);
  });

  test("3.2: an entry can be added to a soft-deleted container; it is shown once that is revived", async () => {
    const box = await device.createContainer();
    await server.db`update containers set deleted_at = now(), encrypted_blob = '' where id = ${box.id}`;
    const id = await device.createEntry(box);
    expect((await device.read(box)).entries).toEqual([]);
    await server.db`update containers set deleted_at = null where id = ${box.id}`;
    expect((await device.read(box)).entries.map((entry) => entry.id)).toEqual([id]);
  });
});

describe.each(ENCODINGS)("POST /api/container/entry-and-category in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  test("containers.md 11: both are made, the entry in the category, with one time; the container is unchanged", async () => {
    const box = await device.createContainer();
    const before = await device.read(box);
    const entryBlob = randomBytes(10);
    const categoryBlob = randomBytes(11);
    const answer = await postEntryAndCategory(device, box, {
      entry_encrypted_blob: entryBlob,
      entry_version_nonce: INT64_MIN,
      category_encrypted_blob: categoryBlob,
      category_version_nonce: INT64_MAX,
    });
    expect(answer.status).toBe(201);
    const { entry_id = "", category_id = "" } = answer.value ?? {};
    const after = await device.read(box);
    expect(withoutRows(after)).toEqual(before);
    const entry = entryOf(after, entry_id);
    const category = categoryOf(after, category_id);
    expect(entry).toMatchObject({ container_id: box.id, category_id, version_nonce: INT64_MIN });
    expect(category).toMatchObject({ container_id: box.id, version_nonce: INT64_MAX });
    expect(Buffer.from(entry.encrypted_blob)).toEqual(entryBlob);
    expect(Buffer.from(category.encrypted_blob)).toEqual(categoryBlob);
    expect(entry.modified_timestamp).toBe(category.modified_timestamp);
  });

  test("4.11: each blob of exactly the limit passes, one byte more of either is INPUT_TOO_LARGE and makes neither", async () => {
    const box = await device.createContainer();
    const [full, large] = [randomBytes(SMALL), randomBytes(SMALL + 1)];
    const both = { entry_encrypted_blob: full, category_encrypted_blob: full };
    expect((await postEntryAndCategory(device, box, both)).status).toBe(201);
    expectError(await postEntryAndCategory(device, box, { entry_encrypted_blob: large }), "INPUT_TOO_LARGE");
    expectError(await postEntryAndCategory(device, box, { category_encrypted_blob: large }), "INPUT_TOO_LARGE");
    const { entries, categories } = await device.read(box);
    expect([entries.length, categories.length]).toEqual([1, 1]);
  });

  test("C6: entry and category take a number each", async () => {
    const box = await device.createContainer();
    await postCategory(device, box);
    await expectNumbered(server.db, box.id, async () =>
      Object.values((await postEntryAndCategory(device, box)).value ?? {}),
    );
  });
});
