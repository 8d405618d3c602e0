/** An operator swaps the binary: a database that the reference made, with a user of its own. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { migrate } from "../../src/db/migrate.ts";
import { silentLog } from "../../src/log.ts";
import { granted, referenceToken } from "../support/accounts.ts";
import { createTestDatabase } from "../support/database.ts";
import referenceSchema from "../support/referenceSchema.sql" with { type: "text" };
import { startTestServer, type TestServer } from "../support/server.ts";

const ANN = "018f3c5e-7b1a-7c3d-9e2f-0123456789ab";
const EMAIL = "us@example.com";
const AUTH_STRING = Buffer.from("auth-string");
/** accounts.md 14: keyed with the bytes 00 … 1f, which the test server has as its pepper. */
const VECTOR = "$argon2id$v=19$m=128,t=2,p=1$oKGio6SlpqeoqaqrrK2urw$TzHoikZ/cgVFcpcXUMvseFA9m+qMiMXVG7Vr+29kgmY";

let server: TestServer;
beforeAll(async () => {
  const database = await createTestDatabase("template0");
  await database.db.unsafe(referenceSchema).simple();
  await database.db
    .unsafe(`
      insert into users values ('${ANN}', 'Us@Example.com', true, '${ANN}', '\\x3042', '2026-01-31 08:15:00', '${VECTOR}',
        '\\x000102030405060708090a0b0c0d0e0f', 65536, 2, 10, '\\x02', 65536, 5, 6, '\\x03', '\\x04', 65536, 8, 9, '${VECTOR}',
        '\\x05', '\\x06');
      insert into user_flags values ('${ANN}', false);
      insert into user_preferences values ('${ANN}', '\\x0a', 7);
      insert into user_keystores values ('${ANN}', '\\x0b', 8);
      insert into signin_nonces values ('Us@Example.com', -5)`)
    .simple();
  await migrate(database.db, silentLog);
  server = await startTestServer({}, database);
});
afterAll(() => server.stop());

async function storedHash(): Promise<string> {
  const [row] = await server.db`select auth_string_hash from users where id = ${ANN}`;
  return row?.auth_string_hash;
}

async function signIn() {
  const { value } = granted(await server.client().signIn("US@example.COM", AUTH_STRING));
  return granted(await server.client().verifyOtp(value, server.otpFor(EMAIL)));
}

describe("a database of the reference's schema", () => {
  test("A1: the user of accounts.md 14 signs in, and the stored hash is upgraded", async () => {
    expect(await storedHash()).toBe(VECTOR);
    expect(await signIn()).toMatchObject({ preferences_version_nonce: 7n, user_keystore_version_nonce: 8n });
    const upgraded = await storedHash();
    expect(upgraded).toStartWith("v2:$argon2id$v=19$m=19456,t=2,p=1$");

    await signIn();
    expect(await storedHash()).toBe(upgraded);
    expect((await server.client().signIn(EMAIL, Buffer.from("auth-strinG"))).error?.err_type).toBe(
      "INCORRECT_CREDENTIAL",
    );
  });

  test("A2, A3: refresh tokens that the reference issued go on, once each", async () => {
    const token = referenceToken(server, "Refresh", { user_id: ANN, email: "Us@Example.com" });
    expect(granted(await server.client().refresh(token)).access_token).not.toBe("");
    expect((await server.client().refresh(token)).error?.err_type).toBe("TOKEN_EXPIRED");
  });
});
