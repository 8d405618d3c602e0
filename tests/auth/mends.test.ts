/** What a reviewer broke once: each stays mended. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { RecoveryCredential, RecoveryMaterial } from "../../src/recovery/messages.ts";
import { changeOtp, passwordUpdate, putPassword } from "../credential/changes.ts";
import { createUnverified, signInAgain, userIdOf, wrong } from "../support/accounts.ts";
import { newUser } from "../support/client.ts";
import { expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { compareTimes } from "../support/timing.ts";

const DAY_MS = 86_400_000;
const NO_ACCOUNT_LIMITS = {
  ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: "100000",
  ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000",
};

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer(NO_ACCOUNT_LIMITS);
});
afterAll(() => server.stop());

async function storedHashes(id: string) {
  const [row] = await server.db`
    select auth_string_hash, recovery_key_auth_hash_rehashed_with_auth_string_params as recovery_hash
    from users where id = ${id}`;
  return row;
}

describe("A1, A6: an operator raises the cost of hashing", () => {
  const RAISED = { ...NO_ACCOUNT_LIMITS, ENTRIES_AUTH_STRING_HASH_MEM_COST_KIB: "65536" };

  test("a hash of the former cost is written anew at the next sign-in, and that of the recovery key at its next use", async () => {
    const { user } = await server.signUp();
    const id = await userIdOf(server, user);
    const raised = await startTestServer(RAISED, server.database);
    try {
      await signInAgain(raised, user);
      const credential = { email: user.email, recovery_key_hash_for_recovery_auth: user.recovery_key_auth_hash };
      const begin = () =>
        raised.client().call("POST", "/api/auth/recovery/begin", {
          request: [RecoveryCredential, credential],
          response: RecoveryMaterial,
        });
      expect((await begin()).status).toBe(200);
      const cost = expect.stringContaining("v2:$argon2id$v=19$m=65536,t=2,p=1$");
      expect(await storedHashes(id)).toEqual({ auth_string_hash: cost, recovery_hash: cost });
      expect((await begin()).status).toBe(200);
      await signInAgain(raised, user);
    } finally {
      await raised.stop();
    }
  });

  test("S1: until then a known address takes as long as an unknown one", async () => {
    const hash = await server.services.passwords.hash(randomBytes(32));
    const raised = await startTestServer(RAISED, server.database);
    const { passwords } = raised.services;
    try {
      const { difference } = await compareTimes(
        30,
        async (kind) => (kind === "known" ? hash : undefined),
        (stored) => passwords.verify(stored, randomBytes(32)),
      );
      const startedAt = performance.now();
      await passwords.verify(undefined, randomBytes(32));
      // Without the decoy beside it, the cheap hash takes a third of the time.
      expect(difference).toBeLessThan((performance.now() - startedAt) / 2);
    } finally {
      await raised.stop();
    }
  });
});

describe("A7: a passcode's attempts are used up only with a token that is good", () => {
  test("tokens of before a password change cost the new sign-in nothing", async () => {
    const device = await server.signUp();
    const old = await signInAgain(server, device.user);
    const update = passwordUpdate(device.user, await changeOtp(server, device, device.user));
    expect((await putPassword(server.client(), update)).status).toBe(200);
    const fresh = await signInAgain(server, { ...device.user, auth_string: update.new_auth_string });
    for (let guess = 0; guess < 5; guess++) {
      expectError(await server.client().verifyOtp(old.signinToken, wrong(fresh.otp)), "INCORRECT_CREDENTIAL");
    }
    expect((await server.client().verifyOtp(fresh.signinToken, fresh.otp)).status).toBe(200);
  });
});

describe("A16: guesses at the passcode of a password change are limited per address and network", () => {
  test("a stranger at one place is stopped before he voids one passcode after the other", async () => {
    const limited = await startTestServer({ ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: "3" }, server.database);
    try {
      const { user } = await server.signUp();
      const guess = () => putPassword(limited.client(), passwordUpdate(user, "00000000"));
      const types = new Set<string | undefined>();
      // Requests without a socket have no network: ten times the limit holds for the address.
      for (let count = 0; count < 31; count++) types.add((await guess()).error?.err_type);
      expect([...types]).toEqual(["INCORRECT_CREDENTIAL", "TOO_MANY_ATTEMPTS"]);
    } finally {
      await limited.stop();
    }
  });
});

describe("S12, A13: an address that was not proven in time", () => {
  test("gets no further passcode, so that its owner can sign up", async () => {
    const squatter = await createUnverified(server);
    server.clock.aheadMs += 8 * DAY_MS;
    expectError(await server.client().signIn(squatter.user.email, squatter.user.auth_string), "TOKEN_EXPIRED");
    expect((await server.client().createUser(newUser({ email: squatter.user.email }))).status).toBe(201);
    server.clock.aheadMs = 0;
  });
});
