import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { AccountKeyUpdate } from "../../src/credential/messages.ts";
import { overloaded } from "../../src/errors.ts";
import {
  countByStatus,
  granted,
  referenceToken,
  refreshed,
  secondDevice,
  signInAgain,
  userIdOf,
  verdictOn,
  wrong,
} from "../support/accounts.ts";
import { Device } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError, speaking } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { someoneWaits } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import {
  accountKeyUpdate,
  attemptsLeft,
  newPasswordKey,
  noticesTo,
  putAccountKey,
  readyToChange,
  storedAccount,
  withService,
} from "./changes.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const ready = () => readyToChange(server);

/** A change that must be refused and must leave everything as it is, the passcode included. */
async function refused(device: Device, update: AccountKeyUpdate, type: Parameters<typeof expectError>[1]) {
  await expectUnchanged(server.db, async () => expectError(await putAccountKey(device, update), type));
}

/** Blob updates with a nonce that is not the stored one. */
const stale = (blob: AccountKeyUpdate["preferences"]) => ({
  ...blob,
  expected_previous_version_nonce: blob.expected_previous_version_nonce - 1n,
});

function expectedRow(before: Record<string, unknown>, update: AccountKeyUpdate) {
  const { recovery_key_auth_hash_rehashed_with_auth_string_params, token_epoch, ...kept } = before;
  return {
    ...kept,
    refuses_reference_tokens: true,
    encryption_key_encrypted_with_password: Buffer.from(update.encryption_key_encrypted_with_password),
    recovery_key_hash_salt_for_encryption: Buffer.from(update.recovery_key_hash_salt_for_encryption),
    recovery_key_hash_salt_for_recovery_auth: Buffer.from(update.recovery_key_hash_salt_for_recovery_auth),
    recovery_key_hash_mem_cost_kib: update.recovery_key_hash_mem_cost_kib,
    recovery_key_hash_threads: update.recovery_key_hash_threads,
    recovery_key_hash_iterations: update.recovery_key_hash_iterations,
    encryption_key_encrypted_with_recovery_key: Buffer.from(update.encryption_key_encrypted_with_recovery_key),
    preferences: Buffer.from(update.preferences.encrypted_blob),
    preferences_nonce: update.preferences.version_nonce,
    keystore: Buffer.from(update.keystore.encrypted_blob),
    keystore_nonce: update.keystore.version_nonce,
  };
}

describe.each([...ENCODINGS])("PUT /api/user/account-key in %s", (encoding) => {
  test("point 8: the right passcode and nonces replace keys, recovery hash, preferences and keystore", async () => {
    const { device, user, otp } = await ready();
    const before = await storedAccount(server, user);
    const update = accountKeyUpdate(user, otp);
    expectEmptyOk(await putAccountKey(speaking(encoding, device, server), update));

    const {
      recovery_key_auth_hash_rehashed_with_auth_string_params: hash,
      token_epoch,
      ...after
    } = await storedAccount(server, user);
    expect(after).toEqual(expectedRow(before, update));
    expect(await server.services.passwords.verify(String(hash), update.recovery_key_auth_hash)).toBe(true);
    expect(token_epoch).not.toBe(before.token_epoch);
  });

  test("point 8: a key made from the password with a new salt is stored with its parameters", async () => {
    const { device, user, otp } = await ready();
    const before = await storedAccount(server, user);
    const passwordKey = newPasswordKey();
    const update = accountKeyUpdate(user, otp, passwordKey);
    expectEmptyOk(await putAccountKey(speaking(encoding, device, server), update));
    expect(await storedAccount(server, user)).toMatchObject({
      ...expectedRow(before, update),
      ...passwordKey,
      password_encryption_key_salt: Buffer.from(passwordKey.password_encryption_key_salt),
    });
  });

  test("W16: a keystore far beyond the usual limit of a body passes", async () => {
    const { device, user, otp } = await ready();
    const encrypted_blob = randomBytes(6_000_000);
    const update = accountKeyUpdate(user, otp);
    const keystore = { ...update.keystore, encrypted_blob };
    expectEmptyOk(await putAccountKey(speaking(encoding, device, server), { ...update, keystore }));
    expect(encrypted_blob.equals((await storedAccount(server, user)).keystore as Buffer)).toBe(true);
    await server.db`delete from users where email = ${user.email}`; // other tests digest all tables
  });
});

describe("the nonces of an account-key change", () => {
  test.each(["preferences", "keystore"] as const)(
    "point 8: a stale nonce of the %s is OUT_OF_DATE: nothing changed, and the passcode is good for another try",
    async (blob) => {
      const { device, user, otp } = await ready();
      const update = accountKeyUpdate(user, otp);
      await refused(device, { ...update, [blob]: stale(update[blob]) }, "OUT_OF_DATE");
      expect(noticesTo(server, user.email)).toEqual([]);
      expectEmptyOk(await putAccountKey(device, update));
    },
  );

  test.each([
    ["preferences", "user_preferences"],
    ["keystore", "user_keystores"],
  ])(
    "C6: %s that change while the request waits are OUT_OF_DATE, never 500 and never overwritten",
    async (_what, table) => {
      const { device, user, otp } = await ready();
      const user_id = await userIdOf(server, user);
      let answer: ReturnType<typeof putAccountKey> | undefined;
      await server.db.begin(async (transaction) => {
        await transaction.unsafe(`update ${table} set version_nonce = 99 where user_id = $1`, [user_id]);
        answer = putAccountKey(device, accountKeyUpdate(user, otp));
        await someoneWaits(server.db, 1);
      });
      const before = await storedAccount(server, user);
      expectError(await (answer ?? Promise.reject(new Error("not sent"))), "OUT_OF_DATE");
      expect(await storedAccount(server, user)).toEqual(before);
      expect(await attemptsLeft(server, user)).toBe(5);
    },
  );

  test("point 8: a wrong passcode is told first, and costs an attempt", async () => {
    const { device, user, otp } = await ready();
    const before = await storedAccount(server, user);
    const update = accountKeyUpdate(user, wrong(otp));
    expectError(await putAccountKey(device, update), "INCORRECT_CREDENTIAL");
    expectError(await putAccountKey(device, { ...update, keystore: stale(update.keystore) }), "INCORRECT_CREDENTIAL");
    expect(await attemptsLeft(server, user)).toBe(3);
    expect(await storedAccount(server, user)).toEqual(before);
  });
});

describe("the passcode of an account-key change", () => {
  test("A7: five wrong guesses void it", async () => {
    const { device, user, otp } = await ready();
    for (let guess = 0; guess < 5; guess++) {
      expectError(await putAccountKey(device, accountKeyUpdate(user, wrong(otp))), "INCORRECT_CREDENTIAL");
    }
    await refused(device, accountKeyUpdate(user, otp), "INCORRECT_CREDENTIAL");
  });

  test("A7: one of a sign-in, one that is too long and an expired one are wrong", async () => {
    const { device, user, otp } = await ready();
    await refused(device, accountKeyUpdate(user, `${otp}0`), "INCORRECT_CREDENTIAL");
    const signIn = await signInAgain(server, user);
    expectError(await putAccountKey(device, accountKeyUpdate(user, signIn.otp)), "INCORRECT_CREDENTIAL");
    await server.db`update user_otps set expiration = '2000-01-01' where user_id = ${await userIdOf(server, user)}`;
    await refused(device, accountKeyUpdate(user, otp), "INCORRECT_CREDENTIAL");
  });

  test("C10: of several changes at once with one passcode exactly one is made whole, and no other answers 500", async () => {
    const { device, user, otp } = await ready();
    const before = await storedAccount(server, user);
    const updates = Array.from({ length: 6 }, () => accountKeyUpdate(user, otp));
    const answers = await Promise.all(updates.map((update) => putAccountKey(device, update)));
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 5 });
    const winner = updates[answers.findIndex(({ status }) => status === 200)];
    expect(await storedAccount(server, user)).toMatchObject(expectedRow(before, winner ?? accountKeyUpdate(user, "")));
    expect(noticesTo(server, user.email)).toEqual(["account-key-changed"]);
  });

  test("C11: it is not lost when the server has no time to hash", async () => {
    const { device, user, otp } = await ready();
    const hash = async () => {
      throw overloaded("The server is checking too many passwords at the moment.", 5);
    };
    await withService(server, "passwords", { hash }, () =>
      expectUnchanged(server.db, async () => {
        expect((await putAccountKey(device, accountKeyUpdate(user, otp))).status).toBe(503);
      }),
    );
    expectEmptyOk(await putAccountKey(device, accountKeyUpdate(user, otp)));
  });
});

describe("A5: after an account-key change", () => {
  test("A5: every session but that of the request is revoked", async () => {
    const { device, user, otp } = await ready();
    const other = await secondDevice(server, device);
    expectEmptyOk(await putAccountKey(device, accountKeyUpdate(user, otp)));
    expect(await verdictOn(server.client(), other.accessToken)).toBe("TOKEN_EXPIRED");
    expectError(await server.client().refresh(other.refreshToken), "TOKEN_EXPIRED");
    expect(await verdictOn(server.client(), (await refreshed(device)).accessToken)).toBe("accepted");
  });

  test("A5: a request with a token of the reference, which names no session, revokes all", async () => {
    const { device, user, otp } = await ready();
    const names = { user_id: await userIdOf(server, user), email: user.email };
    const old = new Device(server.client(), referenceToken(server, "Access", names), "");
    expectEmptyOk(await putAccountKey(old, accountKeyUpdate(user, otp)));
    expect(await verdictOn(server.client(), old.accessToken)).toBe("TOKEN_EXPIRED");
    expect(await verdictOn(server.client(), device.accessToken)).toBe("TOKEN_EXPIRED");
    expectError(await server.client().refresh(referenceToken(server, "Refresh", names)), "TOKEN_EXPIRED");
  });

  test("A5: a sign-in that was under way is void, the next one gives out the new keys and blobs", async () => {
    const { device, user, otp } = await ready();
    const earlier = await signInAgain(server, user);
    const update = accountKeyUpdate(user, otp);
    expectEmptyOk(await putAccountKey(device, update));
    expectError(await server.client().verifyOtp(earlier.signinToken, earlier.otp), "INCORRECT_CREDENTIAL");

    const { signinToken, otp: next } = await signInAgain(server, user);
    expect(granted(await server.client().verifyOtp(signinToken, next))).toMatchObject({
      preferences_encrypted: new Uint8Array(update.preferences.encrypted_blob),
      preferences_version_nonce: 7n,
      user_keystore_encrypted: new Uint8Array(update.keystore.encrypted_blob),
      user_keystore_version_nonce: 8n,
      encryption_key_encrypted_with_password: new Uint8Array(update.encryption_key_encrypted_with_password),
      password_encryption_key_salt: new Uint8Array(user.password_encryption_key_salt),
    });
  });

  test("A5: the owner gets a notice", async () => {
    const { device, user, otp } = await ready();
    expectEmptyOk(await putAccountKey(device, accountKeyUpdate(user, otp)));
    expect(noticesTo(server, user.email)).toEqual(["account-key-changed"]);
  });

  test("S9: for an account that is gone it is TOKEN_EXPIRED", async () => {
    const { device, user, otp } = await ready();
    await server.db`delete from users where email = ${user.email}`;
    await refused(device, accountKeyUpdate(user, otp), "TOKEN_EXPIRED");
  });
});
