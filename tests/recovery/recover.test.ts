import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { overloaded } from "../../src/errors.ts";
import type { RecoveryKeyAuthAndPasswordUpdate } from "../../src/recovery/messages.ts";
import {
  changeOtp,
  noticesTo,
  passwordUpdate,
  putPassword,
  shapeOf,
  startWatchedServer,
  storedAccount,
  withService,
} from "../credential/changes.ts";
import {
  countByStatus,
  createUnverified,
  referenceToken,
  secondDevice,
  signInAgain,
  userIdOf,
  verdictOn,
} from "../support/accounts.ts";
import { newUser } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { begin, newPasswordKey, recover, recovery } from "./recoveries.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** A recovery that must be refused and must leave everything as it is. */
async function refused(update: RecoveryKeyAuthAndPasswordUpdate, type: Parameters<typeof expectError>[1]) {
  await expectUnchanged(server.db, async () => expectError(await recover(server.client(), update), type));
}

describe.each([...ENCODINGS])("POST /api/auth/recover-with-recovery-key in %s", (encoding) => {
  test("7.9: the right key replaces both hashes with salts, parameters and wrapped keys, nothing else", async () => {
    const { user } = await server.signUp();
    const before = await storedAccount(server, user);
    const update = recovery(user);
    expectEmptyOk(await recover(server.client(encoding), update));

    const { auth_string_hash, recovery_key_auth_hash_rehashed_with_auth_string_params, token_epoch, ...after } =
      await storedAccount(server, user);
    const {
      auth_string_hash: _hash,
      recovery_key_auth_hash_rehashed_with_auth_string_params: _recoveryHash,
      token_epoch: epochBefore,
      ...kept
    } = before;
    expect(after).toEqual({
      ...kept,
      refuses_reference_tokens: true,
      auth_string_hash_salt: Buffer.from(update.new_auth_string_hash_salt),
      auth_string_hash_mem_cost_kib: update.new_auth_string_hash_mem_cost_kib,
      auth_string_hash_threads: update.new_auth_string_hash_threads,
      auth_string_hash_iterations: update.new_auth_string_hash_iterations,
      recovery_key_hash_salt_for_encryption: Buffer.from(update.new_recovery_key_hash_salt_for_encryption),
      recovery_key_hash_salt_for_recovery_auth: Buffer.from(update.new_recovery_key_hash_salt_for_recovery_auth),
      recovery_key_hash_mem_cost_kib: update.new_recovery_key_hash_mem_cost_kib,
      recovery_key_hash_threads: update.new_recovery_key_hash_threads,
      recovery_key_hash_iterations: update.new_recovery_key_hash_iterations,
      encryption_key_encrypted_with_password: Buffer.from(update.encryption_key_encrypted_with_new_password),
      encryption_key_encrypted_with_recovery_key: Buffer.from(update.encryption_key_encrypted_with_new_recovery_key),
    });
    const { passwords } = server.services;
    expect(await passwords.verify(String(auth_string_hash), update.new_auth_string)).toBe(true);
    const newHash = String(recovery_key_auth_hash_rehashed_with_auth_string_params);
    expect(await passwords.verify(newHash, update.new_recovery_key_auth_hash)).toBe(true);
    expect(token_epoch).not.toBe(epochBefore);
  });

  test("A9, C19: the parameters of a key made from the new password are stored when they are sent", async () => {
    const { user } = await server.signUp();
    const passwordKey = newPasswordKey();
    expectEmptyOk(await recover(server.client(encoding), recovery(user, passwordKey)));
    expect(await storedAccount(server, user)).toMatchObject({
      password_encryption_key_salt: Buffer.from(passwordKey.new_password_encryption_key_salt),
      password_encryption_key_mem_cost_kib: passwordKey.new_password_encryption_key_mem_cost_kib,
      password_encryption_key_threads: passwordKey.new_password_encryption_key_threads,
      password_encryption_key_iterations: passwordKey.new_password_encryption_key_iterations,
    });
  });
});

describe("POST /api/auth/recover-with-recovery-key", () => {
  test("7.9: then only the new password signs in and only the new key recovers; the address counts in any case", async () => {
    const { user } = await server.signUp();
    const update = recovery(user, { user_email: user.email.toUpperCase() });
    expectEmptyOk(await recover(server.client(), update));
    expectError(await server.client().signIn(user.email, user.auth_string), "INCORRECT_CREDENTIAL");
    expect((await server.client().signIn(user.email, update.new_auth_string)).status).toBe(200);
    expectError(await begin(server.client(), user.email, user.recovery_key_auth_hash), "INCORRECT_CREDENTIAL");
    await refused(recovery(user), "INCORRECT_CREDENTIAL");
    const again = { ...user, recovery_key_auth_hash: update.new_recovery_key_auth_hash };
    expectEmptyOk(await recover(server.client(), recovery(again)));
  });

  test("7.9, S1: wrong key and unknown address are answered alike, after the same work and statement", async () => {
    const { user } = await server.signUp();
    const { server: watched, take } = await startWatchedServer(server);
    const wrongKey = { recovery_key_hash_for_recovery_auth: randomBytes(33) };
    await expectUnchanged(server.db, async () => {
      const known = await recover(watched.client(), recovery(user, wrongKey));
      const cost = take();
      const unknown = await recover(watched.client(), recovery(newUser(), wrongKey));
      expectError(known, "INCORRECT_CREDENTIAL");
      expect(shapeOf(unknown)).toEqual(shapeOf(known));
      expect(take()).toEqual(cost);
      expect(cost).toMatchObject({ hashed: 0, verified: 1 });
      expect(cost.statements).toHaveLength(1);
    });
    await watched.stop();
  });

  test("5.3: a key over the AUTH limit is INCORRECT_CREDENTIAL, not 413", async () => {
    const { user } = await server.signUp();
    await refused(recovery(user, { recovery_key_hash_for_recovery_auth: randomBytes(1025) }), "INCORRECT_CREDENTIAL");
  });

  test("7.9, S4: an unverified account is INVALID_STATE to the right key, INCORRECT_CREDENTIAL to a wrong one", async () => {
    const { user } = await createUnverified(server);
    await refused(recovery(user), "INVALID_STATE");
    const wrongKey = { recovery_key_hash_for_recovery_auth: randomBytes(33) };
    await refused(recovery(user, wrongKey), "INCORRECT_CREDENTIAL");
  });

  test("C11: of several recoveries at once with one key exactly one wins whole, and no other answers 500", async () => {
    const { user } = await server.signUp();
    const updates = Array.from({ length: 4 }, () => recovery(user));
    const answers = await Promise.all(updates.map((update) => recover(server.client(), update)));
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 3 });
    const winner = updates[answers.findIndex(({ status }) => status === 200)] ?? recovery(user);
    const stored = await storedAccount(server, user);
    expect(stored).toMatchObject({
      encryption_key_encrypted_with_password: Buffer.from(winner.encryption_key_encrypted_with_new_password),
      encryption_key_encrypted_with_recovery_key: Buffer.from(winner.encryption_key_encrypted_with_new_recovery_key),
    });
    expect(await server.services.passwords.verify(String(stored.auth_string_hash), winner.new_auth_string)).toBe(true);
    expect(noticesTo(server, user.email)).toEqual(["account-recovered"]);
  });

  test("1.2: a recovery that the server has no time to hash is 503 and changes nothing", async () => {
    const { user } = await server.signUp();
    const hash = async () => {
      throw overloaded("The server is checking too many passwords at the moment.", 5);
    };
    await withService(server, "passwords", { hash }, () =>
      expectUnchanged(server.db, async () => {
        expect((await recover(server.client(), recovery(user))).status).toBe(503);
      }),
    );
    expectEmptyOk(await recover(server.client(), recovery(user)));
  });

  test("Speed: a recovery takes three hashes and two statements", async () => {
    const { user } = await server.signUp();
    const { server: watched, take } = await startWatchedServer(server);
    expectEmptyOk(await recover(watched.client(), recovery(user)));
    const { statements, ...work } = take();
    expect(work).toEqual({ hashed: 2, verified: 1 });
    expect(statements).toHaveLength(2);
    await watched.stop();
  });
});

describe("A5: after a recovery", () => {
  test("A5, S8: every session is revoked, tokens of the reference too, and a sign-in that was under way is void", async () => {
    const device = await server.signUp();
    const { user } = device;
    const other = await secondDevice(server, device);
    const names = { user_id: await userIdOf(server, user), email: user.email };
    const refresh = referenceToken(server, "Refresh", names);
    const access = referenceToken(server, "Access", names);
    const { signinToken, otp } = await signInAgain(server, user);
    expectEmptyOk(await recover(server.client(), recovery(user)));

    for (const token of [device.accessToken, other.accessToken, access]) {
      expect(await verdictOn(server.client(), token)).toBe("TOKEN_EXPIRED");
    }
    for (const token of [device.refreshToken, other.refreshToken, refresh]) {
      expectError(await server.client().refresh(token), "TOKEN_EXPIRED");
    }
    expectError(await server.client().verifyOtp(signinToken, otp), "INCORRECT_CREDENTIAL");
  });

  test("A5: also in another process", async () => {
    const { user, accessToken } = await server.signUp();
    const process2 = await startTestServer({}, server.database);
    expect(await verdictOn(process2.client(), accessToken)).toBe("accepted");
    expectEmptyOk(await recover(server.client(), recovery(user)));
    const deadline = performance.now() + 5000;
    const verdict = () => verdictOn(process2.client(), accessToken);
    while ((await verdict()) === "accepted" && performance.now() < deadline) await Bun.sleep(5);
    expect(await verdict()).toBe("TOKEN_EXPIRED");
    await process2.stop();
  });

  test("A7: a passcode for changes that was sent before is void", async () => {
    const device = await server.signUp();
    const otp = await changeOtp(server, device, device.user);
    expectEmptyOk(await recover(server.client(), recovery(device.user)));
    expectError(await putPassword(server.client(), passwordUpdate(device.user, otp)), "INCORRECT_CREDENTIAL");
  });

  test("A5, S7: the owner gets a notice; failed recoveries send none", async () => {
    const { user } = await server.signUp();
    const wrongKey = { recovery_key_hash_for_recovery_auth: randomBytes(33) };
    await recover(server.client(), recovery(user, wrongKey));
    expect(noticesTo(server, user.email)).toEqual([]);
    expectEmptyOk(await recover(server.client(), recovery(user)));
    expect(noticesTo(server, user.email)).toEqual(["account-recovered"]);
  });

  test("C24: a full mail queue refuses the recovery before anything is done", async () => {
    const { user } = await server.signUp();
    const requireRoom = () => {
      throw overloaded("Too many mails wait to be sent.", 30);
    };
    await withService(server, "mailer", { requireRoom }, () =>
      expectUnchanged(server.db, async () => {
        expect((await recover(server.client(), recovery(user))).status).toBe(503);
      }),
    );
  });
});
