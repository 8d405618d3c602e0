/** Issue 4, "Speed": how many round trips to the database a right second factor costs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { granted, signInAgain } from "../support/accounts.ts";
import { Authenticator } from "../support/authenticator.ts";
import { createTestDatabase } from "../support/database.ts";
import {
  enrolPasskey,
  enrolTotp,
  FACTOR_ENVIRONMENT,
  factorsOf,
  nextTotpCode,
  ORIGIN,
  passkeyOptions,
  signInQuietly,
  totpCode,
  verify,
  wrongTotpCode,
} from "../support/factors.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { type WatchedDatabase, watchStatements } from "../support/statements.ts";

let server: TestServer;
let watch: WatchedDatabase;
beforeAll(async () => {
  watch = watchStatements(await createTestDatabase());
  server = await startTestServer(FACTOR_ENVIRONMENT, watch.database);
});
afterAll(() => server.stop());

/** The statements of one request. */
async function costOf(request: () => Promise<unknown>): Promise<number> {
  watch.take();
  await request();
  return watch.take().length;
}

test("a sign-in without a mailed passcode: one for the nonce, one and the hash for the password", async () => {
  const owner = await server.signUp();
  await enrolTotp(server, owner);
  expect(await costOf(() => signInQuietly(owner))).toBe(2);
  expect(await costOf(() => signInAgain(server, owner.user))).toBe(3);
});

test("otp/verify: two with a right factor of any kind, one with a wrong code of an app, none with no code at all", async () => {
  const owner = await server.signUp();
  const { secret, codes } = await enrolTotp(server, owner);
  const { authenticator } = await enrolPasskey(owner);
  const finish = async (proof: object, status: number) => {
    const token = await signInQuietly(owner);
    return costOf(async () => expect((await verify(owner.client, token, proof)).status).toBe(status));
  };
  expect(await finish({ totp: nextTotpCode(server, secret) }, 200)).toBe(2);
  expect(await finish({ recovery_code: codes[0] ?? "" }, 200)).toBe(2);
  expect(await finish({ recovery_code: codes[0] ?? "" }, 401)).toBe(2);
  expect(await finish({ totp: wrongTotpCode(server, secret) }, 401)).toBe(1);
  expect(await finish({ totp: "none" }, 401)).toBe(0);

  const token = await signInQuietly(owner);
  const { json } = granted(await passkeyOptions(owner.client, token));
  const passkey = authenticator.assert(json);
  expect(await costOf(() => verify(owner.client, token, { passkey }))).toBe(2);
});

test("enrolling: two before and two after, for an app as for a passkey", async () => {
  const owner = await server.signUp();
  const factors = factorsOf(owner);
  const { auth_string } = owner.user;
  let secret: Uint8Array = new Uint8Array(0);
  let json = "";
  expect(
    await costOf(async () => {
      secret = granted(await factors.beginTotp(auth_string)).secret;
    }),
  ).toBe(2);
  const code = totpCode(secret, server.services.now());
  expect(await costOf(async () => granted(await factors.confirmTotp(code)))).toBe(2);
  expect(
    await costOf(async () => {
      json = granted(await factors.beginPasskey(auth_string)).json;
    }),
  ).toBe(2);
  const registration = new Authenticator(ORIGIN).register(json);
  expect(await costOf(async () => granted(await factors.addPasskey(registration)))).toBe(2);
});
