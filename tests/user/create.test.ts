import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { NewUser } from "../../src/user/messages.ts";
import { countByStatus, createUnverified, granted, userIdOf } from "../support/accounts.ts";
import { newUser } from "../support/client.ts";
import { ENCODINGS, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const WEEK_MICROS = 7n * 86_400_000_000n;
const MINUTE_MICROS = 60_000_000n;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** Every number differs from every other, so that no column can hold its neighbour's. */
const DISTINCT_PARAMETERS = {
  auth_string_hash_mem_cost_kib: 65_536,
  auth_string_hash_threads: 2,
  auth_string_hash_iterations: 10,
  password_encryption_key_mem_cost_kib: 65_537,
  password_encryption_key_threads: 3,
  password_encryption_key_iterations: 11,
  recovery_key_hash_mem_cost_kib: 65_538,
  recovery_key_hash_threads: 4,
  recovery_key_hash_iterations: 12,
};

async function rowsOf(email: string): Promise<number> {
  const [row] = await server.db`select count(*)::int as count from users where email = ${email}`;
  return row?.count;
}

describe.each([...ENCODINGS])("POST /api/user in %s", (encoding) => {
  test("accounts.md 8.1: creation stores every field as it was sent", async () => {
    const user = newUser(DISTINCT_PARAMETERS);
    const answer = await server.client(encoding).createUser(user);
    expect({ status: answer.status, token: typeof answer.value?.value }).toEqual({ status: 201, token: "string" });

    const [row] = await server.db`
      select users.*, has_performed_bulk_upload,
        preferences.encrypted_blob as preferences_encrypted, preferences.version_nonce as preferences_version_nonce,
        keystore.encrypted_blob as user_keystore_encrypted, keystore.version_nonce as user_keystore_version_nonce
      from users
      join user_flags as flags on flags.user_id = users.id
      join user_preferences as preferences on preferences.user_id = users.id
      join user_keystores as keystore on keystore.user_id = users.id
      where email = ${user.email}`;
    const { auth_string, recovery_key_auth_hash, ...asSent } = user;
    const expected = Object.entries(asSent).map(([name, value]) => [
      name,
      value instanceof Uint8Array ? Buffer.from(value) : value,
    ]);
    expect(row).toMatchObject(Object.fromEntries(expected));
    expect(row?.has_performed_bulk_upload).toBe(false);
  });
});

describe("POST /api/user", () => {
  test("A1: both secrets are stored only as hashes of scheme v2 with the configured cost, each its own", async () => {
    const { user } = await createUnverified(server);
    const [row] = await server.db`
      select auth_string_hash as password, recovery_key_auth_hash_rehashed_with_auth_string_params as recovery,
        users::text as whole
      from users where email = ${user.email}`;
    const { passwords } = server.services;

    expect(row?.password).toStartWith("v2:$argon2id$v=19$m=19456,t=2,p=1$");
    expect(row?.recovery).toStartWith("v2:$argon2id$v=19$m=19456,t=2,p=1$");
    expect(await passwords.verify(row?.password, user.auth_string)).toBe(true);
    expect(await passwords.verify(row?.recovery, user.recovery_key_auth_hash)).toBe(true);
    expect(await passwords.verify(row?.recovery, user.auth_string)).toBe(false);
    expect(row?.whole).not.toContain(Buffer.from(user.auth_string).toString("hex"));
    expect(row?.whole).not.toContain(Buffer.from(user.recovery_key_auth_hash).toString("hex"));
  });

  test("A13: a new account is unverified: it has a deadline, a week away, and no date of its creation", async () => {
    const before = BigInt(Date.now()) * 1000n;
    const { user } = await createUnverified(server);
    const [row] = await server.db`select * from users where email = ${user.email}`;
    const margin = row?.verification_deadline - (before + WEEK_MICROS);

    expect(margin >= 0n && margin < MINUTE_MICROS).toBe(true);
    expect(Object.keys(row ?? {}).filter((column) => column.includes("created"))).toEqual([]);
  });

  test("W14: the id of a user is a version 4 UUID, which tells no time", async () => {
    const { user } = await createUnverified(server);
    expect(await userIdOf(server, user)).toMatch(UUID_V4);
  });

  test("W10, C1: an address with capital letters is stored in lower case, gets its passcode and can sign in", async () => {
    const name = randomBytes(6).toString("hex");
    const user = newUser({ email: `Ann.${name}@Example.COM` });
    const token = granted(await server.client().createUser(user)).value;
    const stored = `ann.${name}@example.com`;

    expect(await rowsOf(stored)).toBe(1);
    expect((await server.client().verifyOtp(token, server.otpFor(stored))).status).toBe(200);
    const again = await server.client().signIn(`aNN.${name}@eXAMPLE.com`, user.auth_string);
    expect(again.status).toBe(200);
  });

  test("8.1: a taken address is CONFLICT_WITH_EXISTING, also in another letter case and while unverified", async () => {
    const { user } = await createUnverified(server);
    for (const email of [user.email, user.email.toUpperCase()]) {
      expectError(await server.client().createUser(newUser({ email })), "CONFLICT_WITH_EXISTING");
    }
    expect(await rowsOf(user.email)).toBe(1);
    expect(server.letters.filter(({ to }) => to === user.email)).toHaveLength(1);
  });

  test("S19: a taken address is told before anything expensive is computed", async () => {
    const { user } = await createUnverified(server);
    const { passwords } = server.services;
    let hashes = 0;
    server.services.passwords = {
      ...passwords,
      hash: (secret) => {
        hashes++;
        return passwords.hash(secret);
      },
    };
    expectError(await server.client().createUser(newUser({ email: user.email })), "CONFLICT_WITH_EXISTING");
    server.services.passwords = passwords;
    expect(hashes).toBe(0);
  });

  test("8.1: of several creations of one address at once exactly one succeeds, the others conflict", async () => {
    const email = newUser().email;
    const attempts = [email, email.toUpperCase(), email, email].map((written) =>
      server.client().createUser(newUser({ email: written })),
    );
    expect(countByStatus(await Promise.all(attempts))).toEqual({ "201": 1, "400 CONFLICT_WITH_EXISTING": 3 });
    expect(await rowsOf(email)).toBe(1);
    expect(server.letters.filter(({ to }) => to === email)).toHaveLength(1);
  });

  test("W17: a public key id that is no UUID is INVALID_MESSAGE in both encodings, and nothing is stored", async () => {
    const user = newUser();
    const json = NewUser.encodeJson(user).replace(user.public_key_id, "018f3c5e");
    // A field that comes twice counts as it comes last: here number 19, holding three bytes.
    const protobuf = Buffer.concat([NewUser.encodeProtobuf(user), Buffer.from("9a01050a03010203", "hex")]);
    for (const [body, type] of [
      [json, "application/json"],
      [protobuf, "application/protobuf"],
    ] as const) {
      const headers = { "content-type": type, accept: "application/json" };
      const request = new Request("http://localhost/api/user", { method: "POST", headers, body });
      const response = await server.app.handle(request);
      expect({ status: response.status, error: await response.json() }).toMatchObject({
        status: 400,
        error: { err_type: "INVALID_MESSAGE" },
      });
    }
    expect(await rowsOf(user.email)).toBe(0);
  });
});
