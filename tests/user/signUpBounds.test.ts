import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { NewUser } from "../../src/user/messages.ts";
import { newUser } from "../support/client.ts";
import { expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_MAX_KEYSTORE_SIZE_KB: "64" });
});
afterAll(() => server.stop());

/** In bytes, as sample.env sets them; the salts' column holds less than the setting allows (W8). */
const SIZES_MAX = {
  auth_string: 1024,
  auth_string_hash_salt: 1024,
  password_encryption_key_salt: 1024,
  recovery_key_hash_salt_for_encryption: 1024,
  recovery_key_hash_salt_for_recovery_auth: 1024,
  recovery_key_auth_hash: 4096,
  encryption_key_encrypted_with_password: 4096,
  encryption_key_encrypted_with_recovery_key: 4096,
  public_key: 4096,
  preferences_encrypted: 32 * 1024,
  user_keystore_encrypted: 64 * 1024,
} as const;
type SizedField = keyof typeof SIZES_MAX;
const SIZED_FIELDS = Object.keys(SIZES_MAX) as SizedField[];
const SALTS = SIZED_FIELDS.filter((field) => field.includes("salt"));

async function expectRefused(overrides: Partial<NewUser>, type: "INPUT_TOO_LARGE" | "INCORRECTLY_FORMED", says = "") {
  const user = newUser(overrides);
  const answer = await server.client().createUser(user);
  expectError(answer, type);
  expect(answer.error?.err_message).toContain(says);
  const [row] = await server.db`select count(*)::int as count from users where email = ${user.email}`;
  expect(row?.count).toBe(0);
}

async function expectCreated(overrides: Partial<NewUser>) {
  const answer = await server.client().createUser(newUser(overrides));
  expect({ status: answer.status, error: answer.error }).toEqual({ status: 201, error: undefined });
}

describe("sizes at sign-up", () => {
  test.each(SIZED_FIELDS)("8.1, W8: %s over its limit by one byte is INPUT_TOO_LARGE", async (field) => {
    await expectRefused({ [field]: randomBytes(SIZES_MAX[field] + 1) }, "INPUT_TOO_LARGE", `${field} has`);
  });

  test("8.1, W8: every field may be exactly as long as its limit", async () => {
    const { public_key, ...others } = SIZES_MAX;
    const longest = Object.entries(others).map(([field, length]) => [field, randomBytes(length)]);
    await expectCreated(Object.fromEntries(longest));
  });

  test("W8: a public key of exactly the limit is not refused for its size but for not being an RSA key (C5)", async () => {
    await expectRefused({ public_key: randomBytes(SIZES_MAX.public_key) }, "INCORRECTLY_FORMED", "public_key");
  });

  test("W8: a size is told before what is wrong in form or range", async () => {
    const malformed = { email: "nobody", auth_string: Buffer.alloc(0), recovery_key_hash_threads: -1 };
    await expectRefused({ ...malformed, user_keystore_encrypted: randomBytes(65_537) }, "INPUT_TOO_LARGE");
  });
});

describe("hash parameters at sign-up", () => {
  test.each(["auth_string", "recovery_key_auth_hash"] as const)("A14: an empty %s is refused", async (field) => {
    await expectRefused({ [field]: Buffer.alloc(0) }, "INCORRECTLY_FORMED", field);
  });

  test.each(SALTS)("A14: a salt of 15 bytes is refused (%s)", async (field) => {
    await expectRefused({ [field]: randomBytes(15) }, "INCORRECTLY_FORMED", field);
  });

  test("A14: salts of 16 bytes are enough", async () => {
    await expectCreated(Object.fromEntries(SALTS.map((field) => [field, randomBytes(16)])));
  });

  const PREFIXES = ["auth_string_hash", "password_encryption_key", "recovery_key_hash"] as const;
  const parameters = (
    prefix: (typeof PREFIXES)[number],
    mem_cost_kib: number,
    threads: number,
    iterations: number,
  ) => ({
    [`${prefix}_mem_cost_kib`]: mem_cost_kib,
    [`${prefix}_threads`]: threads,
    [`${prefix}_iterations`]: iterations,
  });

  const REFUSED: [why: string, field: string, memCostKib: number, threads: number, iterations: number][] = [
    ["memory under 19 MiB", "mem_cost_kib", 19_455, 1, 64],
    ["negative memory", "mem_cost_kib", -65_536, 1, 2],
    ["memory over 4 GiB", "mem_cost_kib", 4_194_305, 1, 2],
    ["no thread", "threads", 65_536, 0, 2],
    ["17 threads", "threads", 65_536, 17, 2],
    ["no iteration", "iterations", 4_194_304, 1, 0],
    ["65 iterations", "iterations", 65_536, 1, 65],
    ["one iteration with less than 46 MiB", "iterations", 47_103, 1, 1],
  ];
  describe.each([...PREFIXES])("%s", (prefix) => {
    test.each(REFUSED)("A14: %s is refused", async (_why, field, memCostKib, threads, iterations) => {
      const refused = parameters(prefix, memCostKib, threads, iterations);
      await expectRefused(refused, "INCORRECTLY_FORMED", `${prefix}_${field}`);
    });
  });

  test.each([
    [19_456, 1, 2],
    [47_104, 16, 1],
    [4_194_304, 1, 64],
  ])("A14: %i KiB, %i threads and %i iterations are accepted", async (memCostKib, threads, iterations) => {
    const groups = PREFIXES.map((prefix) => parameters(prefix, memCostKib, threads, iterations));
    await expectCreated(Object.assign({}, ...groups));
  });
});
