/** A6: no timing tells whether an address has an account. Each row is 200 requests or more, known and unknown in turn. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { EmailChangeRequest } from "../../src/address/messages.ts";
import { CredentialPair, SigninNonceAndHashParams } from "../../src/auth/messages.ts";
import { RecoveryCredential, RecoveryParams } from "../../src/recovery/messages.ts";
import { type NewUser, UserPublicKey } from "../../src/user/messages.ts";
import { passwordUpdate, putPassword } from "../credential/changes.ts";
import { granted } from "../support/accounts.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { compareTimes, judge } from "../support/timing.ts";

const ROUNDS = 100;
/** Of what hashes nothing, more can be had in a second. */
const QUICK_ROUNDS = 500;
const LIMIT_MS = 60_000;
const NO_ACCOUNT_LIMITS = {
  ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: "100000",
  ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000",
};

let server: TestServer;
let known: NewUser;
beforeAll(async () => {
  server = await startTestServer(NO_ACCOUNT_LIMITS);
  known = (await server.signUp()).user;
});
afterAll(() => server.stop());

/** As long as the known address, and asked about as often: both have the same number of open challenges. */
const UNKNOWN = `ann-${randomBytes(6).toString("hex")}@example.com`;
const addressOf = (kind: "known" | "unknown") => (kind === "known" ? known.email : UNKNOWN);

describe("A6: known and unknown addresses take the same time", () => {
  test("fetching a nonce", { timeout: LIMIT_MS }, async () => {
    const verdict = await compareTimes(
      QUICK_ROUNDS,
      async (kind) => `/api/auth/nonce-and-auth-string-params?email=${encodeURIComponent(addressOf(kind))}`,
      (path) => server.client().call("GET", path, { response: SigninNonceAndHashParams }),
    );
    expect(verdict).toMatchObject({ canTell: false });
  });

  test("S1: signing in with a wrong password", { timeout: LIMIT_MS }, async () => {
    const verdict = await compareTimes(
      ROUNDS,
      async (kind) => {
        const email = addressOf(kind);
        return { email, auth_string: randomBytes(32), nonce: granted(await server.client().nonce(email)).nonce };
      },
      (credentials) => server.client().call("POST", "/api/auth/sign-in", { request: [CredentialPair, credentials] }),
    );
    expect(verdict).toMatchObject({ canTell: false });
  });

  test("A9: asking for recovery parameters", { timeout: LIMIT_MS }, async () => {
    const verdict = await compareTimes(
      QUICK_ROUNDS,
      async (kind) => `/api/auth/recovery-params?email=${encodeURIComponent(addressOf(kind))}`,
      (path) => server.client().call("GET", path, { response: RecoveryParams }),
    );
    expect(verdict).toMatchObject({ canTell: false });
  });

  test("A9, S7: recovering with a wrong key", { timeout: LIMIT_MS }, async () => {
    const verdict = await compareTimes(
      ROUNDS,
      async (kind) => ({ email: addressOf(kind), recovery_key_hash_for_recovery_auth: randomBytes(32) }),
      (credential) =>
        server.client().call("POST", "/api/auth/recovery/begin", { request: [RecoveryCredential, credential] }),
    );
    expect(verdict).toMatchObject({ canTell: false });
  });

  test("8.6: changing a password with a wrong passcode", { timeout: LIMIT_MS }, async () => {
    const verdict = await compareTimes(
      ROUNDS,
      async (kind) => passwordUpdate({ ...known, email: addressOf(kind) }, "00000000"),
      (update) => putPassword(server.client(), update),
    );
    expect(verdict).toMatchObject({ canTell: false });
  });

  test("S3: asking for a public key", { timeout: LIMIT_MS }, async () => {
    const device = await server.signUp();
    const call = { response: UserPublicKey, headers: device.headers() };
    const verdict = await compareTimes(
      QUICK_ROUNDS,
      async (kind) => `/api/user/public-key?email=${encodeURIComponent(addressOf(kind))}`,
      (path) => device.client.call("GET", path, call),
    );
    expect(verdict).toMatchObject({ canTell: false });
  });

  test("A10: asking for a change to an address that is taken or free", { timeout: LIMIT_MS }, async () => {
    const device = await server.signUp();
    const { auth_string } = device.user;
    const verdict = await compareTimes(
      ROUNDS,
      async (kind) => ({ new_email: addressOf(kind), auth_string }),
      (change) =>
        device.client.must("PUT", "/api/user/email", {
          request: [EmailChangeRequest, change],
          headers: device.headers(),
        }),
    );
    expect(verdict).toMatchObject({ canTell: false });
  });
});

describe("the comparison itself", () => {
  const noisy = (base: number, spread: number) => Array.from({ length: 100 }, () => base + Math.random() * spread);

  test("sees a difference that is larger than chance, and none where there is none", () => {
    expect(judge(noisy(10, 1), noisy(11, 1)).canTell).toBe(true);
    expect(judge(noisy(10, 4), noisy(10, 4)).canTell).toBe(false);
  });

  test("S1: sees that an unknown address is not hashed for", { timeout: LIMIT_MS }, async () => {
    const hash = await server.services.passwords.hash(randomBytes(32));
    const verdict = await compareTimes(
      ROUNDS,
      async (kind) => kind,
      async (kind) => {
        if (kind === "known") await server.services.passwords.verify(hash, randomBytes(32));
      },
    );
    expect(verdict.canTell).toBe(true);
  });
});
