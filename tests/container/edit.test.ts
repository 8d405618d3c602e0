import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Device } from "../support/client.ts";
import {
  addKey,
  ENCODINGS,
  expectEmptyOk,
  expectError,
  INT64_MAX,
  INT64_MIN,
  postEntryAndCategory,
  putContainer,
  speaking,
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

describe.each(ENCODINGS)("PUT /api/container in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  test("containers.md 11: the right nonce is 200 without a body, and sets blob, nonce and time; nonce + 1 is OUT_OF_DATE", async () => {
    const box = await device.createContainer();
    await postEntryAndCategory(device, box);
    const before = await device.read(box);
    expectError(await putContainer(device, box, { expected_previous_version_nonce: 2n }), "OUT_OF_DATE");
    expect(await device.read(box)).toEqual(before);

    const encrypted_blob = randomBytes(40);
    expectEmptyOk(await putContainer(device, box, { encrypted_blob, version_nonce: 9n }));
    const { modified_timestamp, ...after } = await device.read(box);
    expect(after).toMatchObject({ version_nonce: 9n, categories: before.categories, entries: before.entries });
    expect(Buffer.from(after.encrypted_blob)).toEqual(encrypted_blob);
    expect(modified_timestamp).toBeGreaterThan(before.modified_timestamp);
  });

  test("3.1: an edit is timed by the database's clock, not the application's", async () => {
    server.clock.aheadMs = -30 * 86_400_000;
    const box = await device.createContainer();
    const { modified_timestamp: created } = await device.read(box);
    await putContainer(device, box);
    server.clock.aheadMs = 0;
    const { modified_timestamp: edited } = await device.read(box);
    const now = BigInt(Date.now()) * 1000n;
    expect(now - created).toBeGreaterThan(29n * 86_400_000_000n);
    expect(now - edited).toBeLessThan(60_000_000n);
  });

  test("3: the new nonce may equal the old one, and any int64 is compared exactly", async () => {
    const box = await device.createContainer({ version_nonce: INT64_MAX });
    const step = (expected_previous_version_nonce: bigint, version_nonce: bigint) =>
      putContainer(device, box, { expected_previous_version_nonce, version_nonce });
    expectError(await step(INT64_MAX - 1n, 0n), "OUT_OF_DATE");
    expectEmptyOk(await step(INT64_MAX, INT64_MIN));
    expectError(await step(INT64_MIN + 1n, 0n), "OUT_OF_DATE");
    expectEmptyOk(await step(INT64_MIN, INT64_MIN));
    expectEmptyOk(await step(INT64_MIN, 0n));
    expect((await device.read(box)).version_nonce).toBe(0n);
  });

  test("4.3: a blob of exactly the limit passes, one byte more is INPUT_TOO_LARGE; an empty one passes", async () => {
    const box = await device.createContainer();
    expectEmptyOk(await putContainer(device, box, { encrypted_blob: randomBytes(SMALL), version_nonce: 1n }));
    expectError(await putContainer(device, box, { encrypted_blob: randomBytes(SMALL + 1) }), "INPUT_TOO_LARGE");
    expect((await device.read(box)).encrypted_blob).toHaveLength(SMALL);
    expectEmptyOk(await putContainer(device, box, { encrypted_blob: new Uint8Array(0) }));
    expect((await device.read(box)).encrypted_blob).toHaveLength(0);
  });

  test("3.2: an edit of a soft-deleted container revives it, but not its rows", async () => {
    const box = await device.createContainer();
    const { value: pair } = await postEntryAndCategory(device, box);
    await server.db`update containers set deleted_at = now(), encrypted_blob = '' where id = ${box.id}`;
    await server.db`update entries set deleted_at = now(), encrypted_blob = '' where container_id = ${box.id}`;
    expect(await device.read(box)).toHaveProperty("deleted_at");
    expectEmptyOk(await putContainer(device, box));
    const revived = await device.read(box);
    expect(revived).not.toHaveProperty("deleted_at");
    expect(revived.categories.map(({ id, deleted_at }) => ({ id, deleted_at }))).toEqual([
      { id: pair?.category_id ?? "", deleted_at: undefined },
    ]);
    expect(revived.entries[0]?.deleted_at).toBeDefined();
  });

  test("C6: an edit gives the container's row the next number, a refused one gives none", async () => {
    const box = await device.createContainer();
    await postEntryAndCategory(device, box);
    await expectNumbered(server.db, box.id, async () => {
      expectEmptyOk(await putContainer(device, box));
      return [box.id];
    });
    await expectNumbered(server.db, box.id, async () => {
      expectError(await putContainer(device, box), "OUT_OF_DATE");
      return [];
    });
  });

  test("3: any key of the container may edit it, and only its own container", async () => {
    const box = await device.createContainer();
    const other = await device.createContainer();
    const otherBefore = await device.read(other);
    expectEmptyOk(await putContainer(device, await addKey(server.db, box)));
    expect((await device.read(box)).version_nonce).toBe(2n);
    expect(await device.read(other)).toEqual(otherBefore);
  });
});

describe("what only SQL can do", () => {
  test("containers.md 11: deleting a container's row removes its categories, entries, keys and head, and nothing else", async () => {
    const kept = await someone.createContainer();
    await postEntryAndCategory(someone, kept);
    const keptBefore = await someone.read(kept);
    const box = await someone.createContainer();
    await postEntryAndCategory(someone, box);
    await addKey(server.db, box);
    await server.db`delete from containers where id = ${box.id}`;
    const left = await server.db`
      select container_id from categories where container_id = ${box.id}
      union all select container_id from entries where container_id = ${box.id}
      union all select container_id from container_access_keys where container_id = ${box.id}
      union all select container_id from container_heads where container_id = ${box.id}`;
    expect([...left]).toEqual([]);
    expect(await someone.read(kept)).toEqual(keptBefore);
  });
});
