import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Device } from "../support/client.ts";
import {
  ENCODINGS,
  entryOf,
  expectEmptyOk,
  expectError,
  INT64_MAX,
  INT64_MIN,
  putEntry,
  speaking,
  withoutRows,
} from "../support/containerCalls.ts";
import { expectNumbered, expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const SMALL = 4 * 1024;

let server: TestServer;
let someone: Device;
beforeAll(async () => {
  server = await startTestServer();
  someone = await server.signUp();
});
afterAll(() => server.stop());

const unchanged = (requests: () => Promise<void>) => expectUnchanged(server.db, requests);

describe.each(ENCODINGS)("PUT /api/container/entry in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  test("containers.md 11: the right nonce is 200 without a body and moves the entry to the other category", async () => {
    const box = await device.createContainer();
    const [first, second] = [await device.createCategory(box), await device.createCategory(box)];
    const id = await device.createEntry(box, { category_id: first });
    const other_id = await device.createEntry(box, { category_id: first });
    const before = await device.read(box);
    const encrypted_blob = randomBytes(70);
    expectEmptyOk(await putEntry(device, box, id, { encrypted_blob, category_id: second, version_nonce: -5n }));

    const after = await device.read(box);
    const { modified_timestamp, ...entry } = entryOf(after, id);
    expect(entry).toEqual({
      id,
      container_id: box.id,
      category_id: second,
      version_nonce: -5n,
      encrypted_blob: entry.encrypted_blob,
    });
    expect(Buffer.from(entry.encrypted_blob)).toEqual(encrypted_blob);
    expect(modified_timestamp).toBeGreaterThan(entryOf(before, id).modified_timestamp);
    expect(entryOf(after, other_id)).toEqual(entryOf(before, other_id));
    expect(withoutRows(after)).toEqual(withoutRows(before));
    expect(after.categories).toEqual(before.categories);
  });

  test("3.1: an edit is timed by the database's clock, not the application's", async () => {
    const box = await device.createContainer();
    server.clock.aheadMs = -30 * 86_400_000;
    const id = await device.createEntry(box);
    await putEntry(device, box, id);
    server.clock.aheadMs = 0;
    const { modified_timestamp } = entryOf(await device.read(box), id);
    expect(BigInt(Date.now()) * 1000n - modified_timestamp).toBeLessThan(60_000_000n);
  });

  test("4.6: an absent category_id removes the category", async () => {
    const box = await device.createContainer();
    const id = await device.createEntry(box, { category_id: await device.createCategory(box) });
    expectEmptyOk(await putEntry(device, box, id));
    expect(entryOf(await device.read(box), id)).not.toHaveProperty("category_id");
  });

  test("4.6, W5: nonce - 1 and + 1 are OUT_OF_DATE; unknown ids and another container's are the same ENTRY_DOES_NOT_EXIST", async () => {
    const box = await device.createContainer();
    const id = await device.createEntry(box);
    const foreign = await device.createEntry(await device.createContainer());
    await unchanged(async () => {
      expectError(await putEntry(device, box, id, { expected_previous_version_nonce: 0n }), "OUT_OF_DATE");
      expectError(await putEntry(device, box, id, { expected_previous_version_nonce: 2n }), "OUT_OF_DATE");
      for (const expected_previous_version_nonce of [1n, 2n]) {
        const stale = { expected_previous_version_nonce };
        const [unknown, elsewhere] = [
          await putEntry(device, box, crypto.randomUUID(), stale),
          await putEntry(device, box, foreign, stale),
        ];
        expectError(unknown, "ENTRY_DOES_NOT_EXIST");
        expectError(elsewhere, "ENTRY_DOES_NOT_EXIST");
        expect(elsewhere.error).toEqual(unknown.error);
      }
    });
  });

  test("4.6, W6: a category that is unknown, foreign or a tombstone is FOREIGN_KEY_DOES_NOT_EXIST with the right nonce, OUT_OF_DATE with a wrong one", async () => {
    const box = await device.createContainer();
    const id = await device.createEntry(box, { category_id: await device.createCategory(box) });
    const foreign = await device.createCategory(await device.createContainer());
    const dead = await device.createCategory(box);
    await device.deleteCategory(box, dead);
    await unchanged(async () => {
      for (const category_id of [crypto.randomUUID(), foreign, dead]) {
        expectError(await putEntry(device, box, id, { category_id }), "FOREIGN_KEY_DOES_NOT_EXIST");
        const stale = { category_id, expected_previous_version_nonce: 3n };
        expectError(await putEntry(device, box, id, stale), "OUT_OF_DATE");
        expectError(await putEntry(device, box, crypto.randomUUID(), { category_id }), "ENTRY_DOES_NOT_EXIST");
      }
    });
  });

  test("4.6: a blob of exactly the limit passes, one byte more is INPUT_TOO_LARGE, before the entry is looked at (W8)", async () => {
    const box = await device.createContainer();
    const id = await device.createEntry(box);
    expectEmptyOk(await putEntry(device, box, id, { encrypted_blob: randomBytes(SMALL), version_nonce: 1n }));
    await unchanged(async () => {
      const large = { encrypted_blob: randomBytes(SMALL + 1) };
      expectError(await putEntry(device, box, id, large), "INPUT_TOO_LARGE");
      expectError(await putEntry(device, box, crypto.randomUUID(), large), "INPUT_TOO_LARGE");
    });
    expectEmptyOk(await putEntry(device, box, id, { encrypted_blob: new Uint8Array(0) }));
    expect(entryOf(await device.read(box), id).encrypted_blob).toHaveLength(0);
  });

  test("3: nonces are compared exactly to the ends of int64, and the new one may equal the old", async () => {
    const box = await device.createContainer();
    const id = await device.createEntry(box, { version_nonce: INT64_MIN });
    const step = (expected_previous_version_nonce: bigint, version_nonce: bigint) =>
      putEntry(device, box, id, { expected_previous_version_nonce, version_nonce });
    expectError(await step(INT64_MIN + 1n, 0n), "OUT_OF_DATE");
    expectEmptyOk(await step(INT64_MIN, INT64_MAX));
    expectError(await step(INT64_MAX - 1n, 0n), "OUT_OF_DATE");
    expectEmptyOk(await step(INT64_MAX, INT64_MAX));
    expect(entryOf(await device.read(box), id).version_nonce).toBe(INT64_MAX);
  });

  test("C6: an edit takes one number for the entry; a refused one takes none", async () => {
    const box = await device.createContainer();
    const [id] = [await device.createEntry(box), await device.createEntry(box)];
    await expectNumbered(server.db, box.id, async () => {
      expectEmptyOk(await putEntry(device, box, id));
      return [id];
    });
    await expectNumbered(server.db, box.id, async () => {
      expectError(await putEntry(device, box, id), "OUT_OF_DATE");
      return [];
    });
  });
});

describe.each(ENCODINGS)("DELETE /api/container/entry in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  test("containers.md 11, 4.7: the entry stays listed with an empty blob, deleted_at and its category; the category is untouched", async () => {
    const box = await device.createContainer();
    const category_id = await device.createCategory(box);
    const id = await device.createEntry(box, { category_id });
    const before = await device.read(box);
    expectEmptyOk(await device.deleteEntry(box, id));
    const after = await device.read(box);
    const tombstone = entryOf(after, id);
    expect(tombstone).toMatchObject({ id, container_id: box.id, category_id });
    expect(tombstone.encrypted_blob).toHaveLength(0);
    expect(withoutRows(after)).toEqual(withoutRows(before));
    expect(after.categories).toEqual(before.categories);
  });

  test("W7: a delete touches modified_timestamp, by the database's clock, and gives a new random nonce", async () => {
    const box = await device.createContainer();
    server.clock.aheadMs = -30 * 86_400_000;
    const ids = await Promise.all(Array.from({ length: 4 }, () => device.createEntry(box)));
    server.clock.aheadMs = 0;
    for (const id of ids) await device.deleteEntry(box, id);
    const nonces = new Set<bigint>();
    for (const { deleted_at, modified_timestamp, version_nonce } of (await device.read(box)).entries) {
      expect(deleted_at).toBe(modified_timestamp);
      expect(BigInt(Date.now()) * 1000n - modified_timestamp).toBeLessThan(60_000_000n);
      nonces.add(version_nonce);
    }
    expect(nonces.size).toBe(4);
    // Random over the whole range: 4 small ones would be a chance of 2^-80.
    expect([...nonces].some((nonce) => nonce > 2n ** 44n || nonce < -(2n ** 44n))).toBe(true);
  });

  test("W7: a stale edit after a delete is OUT_OF_DATE; an edit with the tombstone's nonce revives (3.2)", async () => {
    const box = await device.createContainer();
    const id = await device.createEntry(box);
    await device.deleteEntry(box, id);
    await unchanged(async () => expectError(await putEntry(device, box, id), "OUT_OF_DATE"));
    const { version_nonce } = entryOf(await device.read(box), id);
    expectEmptyOk(await putEntry(device, box, id, { expected_previous_version_nonce: version_nonce }));
    const revived = entryOf(await device.read(box), id);
    expect(revived).not.toHaveProperty("deleted_at");
    expect(revived.version_nonce).toBe(2n);
    expect(revived.encrypted_blob).toHaveLength(20);
  });

  test("4.7: unknown, foreign and already deleted ids are 200 and change nothing", async () => {
    const box = await device.createContainer();
    const foreign = await device.createEntry(await device.createContainer());
    const dead = await device.createEntry(box);
    await device.deleteEntry(box, dead);
    await unchanged(async () => {
      for (const id of [crypto.randomUUID(), foreign, dead]) expectEmptyOk(await device.deleteEntry(box, id));
    });
  });

  test("C6: a delete takes one number for the entry, a second delete none", async () => {
    const box = await device.createContainer();
    const [id] = [await device.createEntry(box), await device.createEntry(box)];
    await expectNumbered(server.db, box.id, async () => {
      expectEmptyOk(await device.deleteEntry(box, id));
      return [id];
    });
    await expectNumbered(server.db, box.id, async () => {
      expectEmptyOk(await device.deleteEntry(box, id));
      return [];
    });
  });
});
