import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { CategoryWithTempId } from "../../src/container/messages.ts";
import type { Device } from "../support/client.ts";
import {
  anyDevice,
  ENCODINGS,
  expectError,
  INT64_MAX,
  INT64_MIN,
  postContainer,
  speaking,
} from "../support/containerCalls.ts";
import { expectHeadIsExact, headOf, sequencesOf } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const SMALL = 4 * 1024;
const KEY = 4 * 1024;

let server: TestServer;
let someone: Device;
beforeAll(async () => {
  server = await startTestServer();
  someone = await server.signUp();
});
afterAll(() => server.stop());

const category = (temp_id: number, overrides: Partial<CategoryWithTempId> = {}): CategoryWithTempId => ({
  temp_id,
  encrypted_blob: randomBytes(30),
  version_nonce: 7n,
  ...overrides,
});

async function countOfContainers(): Promise<bigint> {
  const [row] = await server.db<{ count: bigint }[]>`select count(*) from containers`;
  return row?.count ?? -1n;
}

describe.each(ENCODINGS)("POST /api/container in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  test("containers.md 11: the frame maps each temp_id to an id; a fetch shows blob, nonce, both categories, no entries", async () => {
    const categories = [category(5), category(-3, { version_nonce: -9n })];
    const encrypted_blob = randomBytes(100);
    const box = await device.createContainer({ categories, encrypted_blob, version_nonce: 42n });
    const [first = "", second = ""] = box.category_ids;

    const stored = await device.read(box);
    expect(stored.id).toBe(box.id);
    expect(Buffer.from(stored.encrypted_blob)).toEqual(encrypted_blob);
    expect(stored.version_nonce).toBe(42n);
    expect(stored.entries).toEqual([]);
    expect(stored).not.toHaveProperty("deleted_at");
    expect(
      stored.categories.map(({ id, container_id, version_nonce }) => ({ id, container_id, version_nonce })),
    ).toEqual([
      { id: first, container_id: box.id, version_nonce: 7n },
      { id: second, container_id: box.id, version_nonce: -9n },
    ]);
    expect(stored.categories.map((row) => Buffer.from(row.encrypted_blob))).toEqual(
      categories.map((row) => Buffer.from(row.encrypted_blob)),
    );
  });

  test("4.2: the frame answers 201 with temp_ids of the whole int32 range in the request's order", async () => {
    const temp_ids = [2 ** 31 - 1, 0, -(2 ** 31), 1];
    const { status, value: frame } = await postContainer(device, { categories: temp_ids.map((id) => category(id)) });
    expect(status).toBe(201);
    expect(frame?.category_ids.map(({ temp_id }) => temp_id)).toEqual(temp_ids);
    expect(new Set(frame?.category_ids.map(({ real_id }) => real_id)).size).toBe(4);
  });

  test("W14: containers and categories get ids of version 7 in the request's order, access keys of version 4", async () => {
    const { value: frame } = await postContainer(device, { categories: [category(1), category(2), category(3)] });
    const ids = [frame?.id ?? "", ...(frame?.category_ids ?? []).map(({ real_id }) => real_id)];
    expect(ids.map((id) => id[14])).toEqual(["7", "7", "7", "7"]);
    expect(ids).toEqual(ids.toSorted());
    expect(frame?.access_key_id[14]).toBe("4");
  });

  test("W4, 3.1: the frame carries the stored microseconds; container and categories share that instant", async () => {
    server.clock.aheadMs = -86_400_000;
    const before = BigInt(server.services.now()) * 1000n;
    const { value: frame } = await postContainer(device, { categories: [category(1), category(2)] });
    const after = BigInt(server.services.now()) * 1000n;
    server.clock.aheadMs = 0;
    const rows = await server.db<{ time: bigint; deleted_at: bigint | null }[]>`
      select modified_timestamp as time, deleted_at from containers where id = ${frame?.id ?? ""}
      union all
      select modified_timestamp, deleted_at from categories where container_id = ${frame?.id ?? ""}`;
    expect(rows).toHaveLength(3);
    for (const row of rows) expect({ ...row }).toEqual({ time: frame?.modified_timestamp ?? 0n, deleted_at: null });
    expect(frame?.modified_timestamp).toBeGreaterThanOrEqual(before);
    expect(frame?.modified_timestamp).toBeLessThanOrEqual(after);
  });

  test("3: empty blobs and nonces at the ends of int64 are stored as they are", async () => {
    const box = await device.createContainer({
      encrypted_blob: new Uint8Array(0),
      version_nonce: INT64_MIN,
      categories: [category(1, { encrypted_blob: new Uint8Array(0), version_nonce: INT64_MAX })],
    });
    const stored = await device.read(box);
    expect(stored.encrypted_blob).toHaveLength(0);
    expect(stored.version_nonce).toBe(INT64_MIN);
    expect(stored.categories.map((row) => [row.encrypted_blob.length, row.version_nonce])).toEqual([[0, INT64_MAX]]);
  });

  test("3: nothing is idempotent: the same container twice makes two", async () => {
    const { container } = device.newContainer();
    const first = await postContainer(device, container);
    const second = await postContainer(device, container);
    expect(second.status).toBe(201);
    expect(second.value?.id).not.toBe(first.value?.id ?? "");
  });

  test("4.2: blobs and key of exactly the limit pass their size checks, one byte more is INPUT_TOO_LARGE", async () => {
    const before = await countOfContainers();
    const atLimit = await postContainer(device, {
      encrypted_blob: randomBytes(SMALL),
      categories: [category(1, { encrypted_blob: randomBytes(SMALL) })],
    });
    expect(atLimit.status).toBe(201);
    expectError(await postContainer(device, { encrypted_blob: randomBytes(SMALL + 1) }), "INPUT_TOO_LARGE");
    const large = category(2, { encrypted_blob: randomBytes(SMALL + 1) });
    expectError(await postContainer(device, { categories: [category(1), large] }), "INPUT_TOO_LARGE");
    expectError(await postContainer(device, { user_public_container_key: randomBytes(KEY + 1) }), "INPUT_TOO_LARGE");
    expectError(await postContainer(device, { user_public_container_key: randomBytes(KEY) }), "INCORRECTLY_FORMED");
    expect(await countOfContainers()).toBe(before + 1n);
  });

  test("4.2: two categories with one temp_id are INVALID_STATE and nothing is stored", async () => {
    const before = await countOfContainers();
    expectError(await postContainer(device, { categories: [category(1), category(2), category(1)] }), "INVALID_STATE");
    expect(await countOfContainers()).toBe(before);
  });

  test("W8: sizes (413) come before the key's form (400), and that before the temp_ids", async () => {
    const badKey = { user_public_container_key: randomBytes(31) };
    const twins = [category(1), category(1)];
    const large = category(2, { encrypted_blob: randomBytes(SMALL + 1) });
    expectError(await postContainer(device, { ...badKey, categories: [...twins, large] }), "INPUT_TOO_LARGE");
    expectError(await postContainer(device, { ...badKey, categories: twins }), "INCORRECTLY_FORMED");
  });

  test("3: the access token is enough of a user; the container belongs to nobody", async () => {
    expect((await postContainer(anyDevice(server, encoding))).status).toBe(201);
  });
});

describe("W9: an Ed25519 key is checked strictly when it is registered", () => {
  const P_LOW = "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"; // p = 2^255 - 19, the encoding of 0
  const smallOrder = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    P_LOW,
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ];
  const withSign = (hex: string) => {
    const bytes = Buffer.from(hex, "hex");
    bytes.writeUInt8(bytes.readUInt8(31) | 0x80, 31);
    return bytes.toString("hex");
  };

  test.each([
    ...smallOrder.map((hex) => ["of small order", hex]),
    ...smallOrder.map((hex) => ["of small order, sign bit set", withSign(hex)]),
    ["not on the curve (y = 2)", `02${"00".repeat(31)}`],
    ["not on the curve (y = 7)", `07${"00".repeat(31)}`],
    [
      "not canonical (y = p + 3, on the curve as 3)",
      "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ],
    [
      "not canonical (y = p + 4, on the curve as 4)",
      "f1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ],
    ["not canonical (y = 2^255 - 1)", `${"ff".repeat(31)}7f`],
    ["of no bytes", ""],
    ["of 31 bytes", "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531"],
    ["of 33 bytes", "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b800"],
  ])("a key %s is INCORRECTLY_FORMED: %s", async (_what, hex) => {
    const before = await countOfContainers();
    expectError(
      await postContainer(someone, { user_public_container_key: Buffer.from(hex, "hex") }),
      "INCORRECTLY_FORMED",
    );
    expect(await countOfContainers()).toBe(before);
  });

  test("the key of the vectors (containers.md 2.4) is accepted", async () => {
    const key = Buffer.from("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", "hex");
    expect((await postContainer(someone, { user_public_container_key: key })).status).toBe(201);
  });
});

describe("limits that an operator sets", () => {
  test("W15: 3,000 categories are made in one request, in order, each with a sequence number of its own (C6)", async () => {
    const roomy = await startTestServer({ ENTRIES_MAX_CATEGORIES_PER_CONTAINER: "3000" }, server.database);
    const device = anyDevice(roomy);
    const categories = Array.from({ length: 3000 }, (_, index) =>
      category(index - 1500, { encrypted_blob: Buffer.from(`category ${index}`), version_nonce: BigInt(index) }),
    );
    const box = await device.createContainer({ categories });
    const stored = await device.read(box);
    expect(stored.categories.map(({ id }) => id)).toEqual([...box.category_ids]);
    expect(stored.categories.map((row) => Buffer.from(row.encrypted_blob).toString())).toEqual(
      categories.map((_, index) => `category ${index}`),
    );
    expect(stored.categories.map((row) => row.version_nonce)).toEqual(categories.map((row) => row.version_nonce));
    const sequences = await sequencesOf(server.db, box.id);
    expect([box.id, ...box.category_ids].map((id) => sequences.get(id) ?? 0n)).toEqual(
      Array.from({ length: 3001 }, (_, index) => BigInt(index + 1)),
    );
    expect(await headOf(server.db, box.id)).toMatchObject({ last_sequence: 3001n, live_categories: 3000 });
    await expectHeadIsExact(server.db, box.id);

    const tooMany = await postContainer(device, { categories: [...categories, category(5000)] });
    expectError(tooMany, "TOO_MANY_REQUESTED");
    await roomy.stop();
  });

  test("1: the limit of a blob is the operator's ENTRIES_MAX_SMALL_OBJECT_SIZE_KB", async () => {
    const generous = await startTestServer({ ENTRIES_MAX_SMALL_OBJECT_SIZE_KB: "5" }, server.database);
    const device = anyDevice(generous);
    expect((await postContainer(device, { encrypted_blob: randomBytes(5 * 1024) })).status).toBe(201);
    expectError(await postContainer(device, { encrypted_blob: randomBytes(5 * 1024 + 1) }), "INPUT_TOO_LARGE");
    await generous.stop();
  });
});
