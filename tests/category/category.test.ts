import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Device } from "../support/client.ts";
import {
  categoryOf,
  ENCODINGS,
  entryOf,
  expectEmptyOk,
  expectError,
  INT64_MAX,
  INT64_MIN,
  postCategory,
  putCategory,
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

describe.each(ENCODINGS)("POST /api/container/category in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  test("containers.md 11: a new category is 201 and shown as it was; the container is unchanged", async () => {
    const box = await device.createContainer();
    const before = await device.read(box);
    const value = randomBytes(30);
    server.clock.aheadMs = -3_600_000;
    const expectedTime = BigInt(server.services.now()) * 1000n;
    const answer = await postCategory(device, box, { value, version_nonce: INT64_MIN });
    server.clock.aheadMs = 0;
    expect(answer.status).toBe(201);
    const after = await device.read(box);
    expect(withoutRows(after)).toEqual(before);
    const { encrypted_blob, modified_timestamp, ...category } = categoryOf(after, answer.value?.value ?? "");
    expect(category).toEqual({ id: answer.value?.value ?? "", container_id: box.id, version_nonce: INT64_MIN });
    expect(Buffer.from(encrypted_blob)).toEqual(value);
    expect(modified_timestamp - expectedTime).toBeGreaterThanOrEqual(0n); // 3.1: the application's clock
    expect(modified_timestamp - expectedTime).toBeLessThan(10_000_000n);
  });

  test("4.8: a blob of exactly the limit and an empty one pass, one byte more is INPUT_TOO_LARGE", async () => {
    const box = await device.createContainer();
    await device.createCategory(box, { value: randomBytes(SMALL) });
    await device.createCategory(box, { value: new Uint8Array(0) });
    expectError(await postCategory(device, box, { value: randomBytes(SMALL + 1) }), "INPUT_TOO_LARGE");
    expect((await device.read(box)).categories.map((row) => row.encrypted_blob.length)).toEqual([SMALL, 0]);
  });

  test("W14, C6: ids are of version 7 in the order of creation; each takes the next number", async () => {
    const box = await device.createContainer();
    const first = await device.createCategory(box);
    let second = "";
    await expectNumbered(server.db, box.id, async () => {
      second = await device.createCategory(box);
      return [second];
    });
    expect([first[14], second[14]]).toEqual(["7", "7"]);
    expect((await device.read(box)).categories.map(({ id }) => id)).toEqual([first, second]);
  });
});

describe.each(ENCODINGS)("PUT /api/container/category in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  test("containers.md 11: the right nonce is 200 and changes this category only, not the other one and not the entry", async () => {
    const box = await device.createContainer();
    const [id, other] = [await device.createCategory(box), await device.createCategory(box)];
    await device.createEntry(box, { category_id: id });
    const before = await device.read(box);
    const encrypted_blob = randomBytes(33);
    expectEmptyOk(await putCategory(device, box, id, { encrypted_blob, version_nonce: INT64_MAX }));
    const after = await device.read(box);
    expect(withoutRows(after)).toEqual(withoutRows(before));
    expect(after.entries).toEqual(before.entries);
    expect(categoryOf(after, other)).toEqual(categoryOf(before, other));
    expect(categoryOf(after, id)).toMatchObject({ container_id: box.id, version_nonce: INT64_MAX });
    expect(Buffer.from(categoryOf(after, id).encrypted_blob)).toEqual(encrypted_blob);
    expect(categoryOf(after, id).modified_timestamp).toBeGreaterThan(categoryOf(before, id).modified_timestamp);
  });

  test("4.9, W5: a wrong nonce is OUT_OF_DATE; unknown ids and another container's are the same CATEGORY_DOES_NOT_EXIST", async () => {
    const box = await device.createContainer();
    const id = await device.createCategory(box, { version_nonce: INT64_MAX });
    const foreign = await device.createCategory(await device.createContainer());
    await unchanged(async () => {
      const stale = { expected_previous_version_nonce: INT64_MAX - 1n };
      expectError(await putCategory(device, box, id, stale), "OUT_OF_DATE");
      for (const expected_previous_version_nonce of [1n, 2n]) {
        const unknown = await putCategory(device, box, crypto.randomUUID(), { expected_previous_version_nonce });
        const elsewhere = await putCategory(device, box, foreign, { expected_previous_version_nonce });
        expectError(unknown, "CATEGORY_DOES_NOT_EXIST");
        expectError(elsewhere, "CATEGORY_DOES_NOT_EXIST");
        expect(elsewhere.error).toEqual(unknown.error);
      }
    });
    expectEmptyOk(await putCategory(device, box, id, { expected_previous_version_nonce: INT64_MAX }));
  });

  test("4.9: a blob of exactly the limit passes, one byte more is INPUT_TOO_LARGE, before the category is looked at (W8)", async () => {
    const box = await device.createContainer();
    const id = await device.createCategory(box);
    expectEmptyOk(await putCategory(device, box, id, { encrypted_blob: randomBytes(SMALL), version_nonce: 1n }));
    await unchanged(async () => {
      const large = { encrypted_blob: randomBytes(SMALL + 1) };
      expectError(await putCategory(device, box, id, large), "INPUT_TOO_LARGE");
      expectError(await putCategory(device, box, crypto.randomUUID(), large), "INPUT_TOO_LARGE");
    });
  });

  test("3.1, C6: an edit is timed by the database's clock and takes one number; a refused one takes none", async () => {
    const box = await device.createContainer();
    server.clock.aheadMs = -30 * 86_400_000;
    const id = await device.createCategory(box);
    await expectNumbered(server.db, box.id, async () => {
      expectEmptyOk(await putCategory(device, box, id));
      return [id];
    });
    server.clock.aheadMs = 0;
    const { modified_timestamp } = categoryOf(await device.read(box), id);
    expect(BigInt(Date.now()) * 1000n - modified_timestamp).toBeLessThan(60_000_000n);
    await expectNumbered(server.db, box.id, async () => {
      expectError(await putCategory(device, box, id), "OUT_OF_DATE");
      return [];
    });
  });
});

describe.each(ENCODINGS)("DELETE /api/container/category in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  test("containers.md 11: the category stays listed with an empty blob; its entries lose category_id and nothing else", async () => {
    const box = await device.createContainer();
    const [id, other] = [await device.createCategory(box), await device.createCategory(box)];
    const inside = await device.createEntry(box, { category_id: id });
    const elsewhere = await device.createEntry(box, { category_id: other });
    const before = await device.read(box);
    expectEmptyOk(await device.deleteCategory(box, id));
    const after = await device.read(box);
    const { category_id: _, ...kept } = entryOf(before, inside);
    expect(entryOf(after, inside)).toEqual(kept); // 3.1: neither timestamp nor nonce
    expect(entryOf(after, elsewhere)).toEqual(entryOf(before, elsewhere));
    expect(categoryOf(after, other)).toEqual(categoryOf(before, other));
    expect(withoutRows(after)).toEqual(withoutRows(before));
    const tombstone = categoryOf(after, id);
    expect(tombstone.encrypted_blob).toHaveLength(0);
    expect(tombstone.deleted_at).toBe(tombstone.modified_timestamp); // W7
    expect(tombstone.modified_timestamp).toBeGreaterThan(categoryOf(before, id).modified_timestamp);
    expect(tombstone.version_nonce).not.toBe(1n);
  });

  test("4.10: tombstoned entries lose the category as well; reviving it gives no entry back (3.2)", async () => {
    const box = await device.createContainer();
    const id = await device.createCategory(box);
    const live = await device.createEntry(box, { category_id: id });
    const dead = await device.createEntry(box, { category_id: id });
    await device.deleteEntry(box, dead);
    const deadBefore = entryOf(await device.read(box), dead);
    await device.deleteCategory(box, id);
    const { category_id: _, ...kept } = deadBefore;
    expect(entryOf(await device.read(box), dead)).toEqual(kept);
    const { version_nonce } = categoryOf(await device.read(box), id);
    expectEmptyOk(await putCategory(device, box, id, { expected_previous_version_nonce: version_nonce }));
    const revived = await device.read(box);
    expect(categoryOf(revived, id)).not.toHaveProperty("deleted_at");
    for (const entry of [live, dead]) expect(entryOf(revived, entry)).not.toHaveProperty("category_id");
    await device.createEntry(box, { category_id: id }); // and it can be used again
  });

  test("W7: a stale edit after a delete is OUT_OF_DATE and revives nothing", async () => {
    const box = await device.createContainer();
    const id = await device.createCategory(box);
    await device.deleteCategory(box, id);
    await unchanged(async () => expectError(await putCategory(device, box, id), "OUT_OF_DATE"));
  });

  test("4.10: unknown, foreign and already deleted ids are 200 and change nothing, also no foreign entry", async () => {
    const box = await device.createContainer();
    const other = await device.createContainer();
    const foreign = await device.createCategory(other);
    await device.createEntry(other, { category_id: foreign });
    const dead = await device.createCategory(box);
    await device.deleteCategory(box, dead);
    await unchanged(async () => {
      for (const id of [crypto.randomUUID(), foreign, dead]) expectEmptyOk(await device.deleteCategory(box, id));
    });
  });

  test("C6: the category and each entry that loses it take a number of their own, no other row does", async () => {
    const box = await device.createContainer();
    const [id, other] = [await device.createCategory(box), await device.createCategory(box)];
    const inside = await Promise.all(Array.from({ length: 5 }, () => device.createEntry(box, { category_id: id })));
    await device.createEntry(box, { category_id: other });
    await device.createEntry(box);
    await expectNumbered(server.db, box.id, async () => {
      expectEmptyOk(await device.deleteCategory(box, id));
      return [id, ...inside];
    });
    await expectNumbered(server.db, box.id, async () => {
      expectEmptyOk(await device.deleteCategory(box, id));
      return [];
    });
  });

  test("4.10: a tombstone that entries of the reference's database still refer to loses them when it is deleted again", async () => {
    const box = await device.createContainer();
    const id = await device.createCategory(box);
    const inside = await device.createEntry(box, { category_id: id });
    await server.db`update categories set deleted_at = now(), encrypted_blob = '' where id = ${id}`;
    const before = categoryOf(await device.read(box), id);
    await expectNumbered(server.db, box.id, async () => {
      expectEmptyOk(await device.deleteCategory(box, id));
      return [inside];
    });
    expect(categoryOf(await device.read(box), id)).toEqual(before);
    expect(entryOf(await device.read(box), inside)).not.toHaveProperty("category_id");
  });
});
