import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { RecoveryKeyUpdate } from "../../src/credential/messages.ts";
import { overloaded } from "../../src/errors.ts";
import { begin } from "../recovery/recoveries.ts";
import { countByStatus, secondDevice, signInAgain, verdictOn, wrong } from "../support/accounts.ts";
import { Device } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError, speaking } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import {
  attemptsLeft,
  noticesTo,
  putRecoveryKey,
  readyToChange,
  recoveryKeyUpdate,
  startWatchedServer,
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
async function refused(device: Device, update: RecoveryKeyUpdate, type: Parameters<typeof expectError>[1]) {
  await expectUnchanged(server.db, async () => expectError(await putRecoveryKey(device, update), type));
}

describe.each([...ENCODINGS])("PUT /api/user/recovery-key in %s", (encoding) => {
  test("8.7: the right passcode changes all seven columns, nothing else", async () => {
    const { device, user, otp } = await ready();
    const { recovery_key_auth_hash_rehashed_with_auth_string_params: hashBefore, ...before } = await storedAccount(
      server,
      user,
    );
    const update = recoveryKeyUpdate(otp);
    expectEmptyOk(await putRecoveryKey(speaking(encoding, device, server), update));

    const { recovery_key_auth_hash_rehashed_with_auth_string_params: hash, ...after } = await storedAccount(
      server,
      user,
    );
    expect(after).toEqual({
      ...before,
      recovery_key_hash_salt_for_encryption: Buffer.from(update.recovery_key_hash_salt_for_encryption),
      recovery_key_hash_salt_for_recovery_auth: Buffer.from(update.recovery_key_hash_salt_for_recovery_auth),
      recovery_key_hash_mem_cost_kib: update.recovery_key_hash_mem_cost_kib,
      recovery_key_hash_threads: update.recovery_key_hash_threads,
      recovery_key_hash_iterations: update.recovery_key_hash_iterations,
      encryption_key_encrypted_with_recovery_key: Buffer.from(update.encrypted_encryption_key),
    });
    expect(hash).not.toBe(hashBefore);
    expect(await server.services.passwords.verify(String(hash), update.recovery_key_auth_hash)).toBe(true);
  });
});

describe("PUT /api/user/recovery-key", () => {
  test("8.7: then only the new key begins a recovery", async () => {
    const { device, user, otp } = await ready();
    const update = recoveryKeyUpdate(otp);
    expectEmptyOk(await putRecoveryKey(device, update));
    expectError(await begin(server.client(), user.email, user.recovery_key_auth_hash), "INCORRECT_CREDENTIAL");
    const { value } = await begin(server.client(), user.email, update.recovery_key_auth_hash);
    expect(value?.encryption_key_encrypted_with_recovery_key).toEqual(new Uint8Array(update.encrypted_encryption_key));
  });

  test("8.7: it signs nobody out, and the owner gets a notice", async () => {
    const { device, user, otp } = await ready();
    const other = await secondDevice(server, device);
    expectEmptyOk(await putRecoveryKey(device, recoveryKeyUpdate(otp)));
    expect(await verdictOn(server.client(), device.accessToken)).toBe("accepted");
    expect(await verdictOn(server.client(), other.accessToken)).toBe("accepted");
    expect((await server.client().refresh(other.refreshToken)).status).toBe(200);
    expect(noticesTo(server, user.email)).toEqual(["recovery-key-changed"]);
  });

  test("8.7: without an access token it is TOKEN_MISSING", async () => {
    const { device, otp } = await ready();
    await expectUnchanged(server.db, async () => {
      const answer = await device.client.call("PUT", "/api/user/recovery-key");
      expectError(answer, "TOKEN_MISSING");
    });
    expectEmptyOk(await putRecoveryKey(device, recoveryKeyUpdate(otp)));
  });

  test("S9: for an account that is gone it is TOKEN_EXPIRED", async () => {
    const { device, user, otp } = await ready();
    await server.db`delete from users where email = ${user.email}`;
    await refused(device, recoveryKeyUpdate(otp), "TOKEN_EXPIRED");
  });

  test.each([
    ["recovery_key_hash_salt_for_encryption", 1024],
    ["recovery_key_hash_salt_for_recovery_auth", 1024],
    ["recovery_key_auth_hash", 4096],
    ["encrypted_encryption_key", 4096],
  ])("8.7: %s over %d bytes is 413 and changes nothing; with exactly so many it passes", async (field, bytesMax) => {
    const { device, otp } = await ready();
    await refused(device, recoveryKeyUpdate(otp, { [field]: randomBytes(bytesMax + 1) }), "INPUT_TOO_LARGE");
    expectEmptyOk(await putRecoveryKey(device, recoveryKeyUpdate(otp, { [field]: randomBytes(bytesMax) })));
  });

  test("8.7: sizes are told in the contract's order, before form", async () => {
    const { device, otp } = await ready();
    const order = [
      "recovery_key_hash_salt_for_encryption",
      "recovery_key_hash_salt_for_recovery_auth",
      "recovery_key_auth_hash",
      "encrypted_encryption_key",
    ];
    for (let first = 0; first < order.length; first++) {
      const tooLarge = Object.fromEntries(order.slice(first).map((field) => [field, randomBytes(5000)]));
      const update = recoveryKeyUpdate(otp, { ...tooLarge, recovery_key_hash_threads: 0 });
      const { error } = await putRecoveryKey(device, update);
      expect(error?.err_type).toBe("INPUT_TOO_LARGE");
      expect(error?.err_message).toStartWith(`${order[first]} has`);
    }
  });

  test.each<[string, Partial<RecoveryKeyUpdate>]>([
    ["an empty hash", { recovery_key_auth_hash: new Uint8Array(0) }],
    ["a salt of 15 bytes for encryption", { recovery_key_hash_salt_for_encryption: randomBytes(15) }],
    ["a salt of 15 bytes for authentication", { recovery_key_hash_salt_for_recovery_auth: randomBytes(15) }],
    ["too little memory", { recovery_key_hash_mem_cost_kib: 19_455 }],
    ["no thread", { recovery_key_hash_threads: 0 }],
    ["too many iterations", { recovery_key_hash_iterations: 65 }],
  ])("A14: %s is INCORRECTLY_FORMED and changes nothing", async (_what, change) => {
    const { device, otp } = await ready();
    await refused(device, recoveryKeyUpdate(otp, change), "INCORRECTLY_FORMED");
  });

  test("8.7: a wrong passcode is INCORRECT_CREDENTIAL and costs an attempt; five void it (A7)", async () => {
    const { device, user, otp } = await ready();
    const before = await storedAccount(server, user);
    for (const left of [4, 3, 2, 1, 0]) {
      expectError(await putRecoveryKey(device, recoveryKeyUpdate(wrong(otp))), "INCORRECT_CREDENTIAL");
      expect(await attemptsLeft(server, user)).toBe(left);
    }
    await refused(device, recoveryKeyUpdate(otp), "INCORRECT_CREDENTIAL");
    expect(await storedAccount(server, user)).toEqual(before);
    expect(noticesTo(server, user.email)).toEqual([]);
  });

  test("A7: a passcode of a sign-in, or one that is too long, is wrong", async () => {
    const device = await server.signUp();
    const { otp } = await signInAgain(server, device.user);
    await refused(device, recoveryKeyUpdate(otp), "INCORRECT_CREDENTIAL");
    await refused(device, recoveryKeyUpdate(`${otp}0`), "INCORRECT_CREDENTIAL");
  });

  test("S10: another account's passcode does not serve the caller's account", async () => {
    const ann = await ready();
    const ben = await ready();
    expectError(await putRecoveryKey(ann.device, recoveryKeyUpdate(ben.otp)), "INCORRECT_CREDENTIAL");
    expect(await attemptsLeft(server, ben.user)).toBe(5);
    expect(await attemptsLeft(server, ann.user)).toBe(4);
  });

  test("C10: of several changes at once with one passcode exactly one is made, and no other answers 500", async () => {
    const { device, user, otp } = await ready();
    const answers = await Promise.all(Array.from({ length: 6 }, () => putRecoveryKey(device, recoveryKeyUpdate(otp))));
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 5 });
    expect(noticesTo(server, user.email)).toEqual(["recovery-key-changed"]);
  });

  test("C11: the passcode is not lost when the server has no time to hash", async () => {
    const { device, otp } = await ready();
    const hash = async () => {
      throw overloaded("The server is checking too many passwords at the moment.", 5);
    };
    await withService(server, "passwords", { hash }, () =>
      expectUnchanged(server.db, async () => {
        expect((await putRecoveryKey(device, recoveryKeyUpdate(otp))).status).toBe(503);
      }),
    );
    expectEmptyOk(await putRecoveryKey(device, recoveryKeyUpdate(otp)));
  });

  test("Speed: a change takes one hash and one statement", async () => {
    const { device, otp } = await ready();
    const { server: watched, take } = await startWatchedServer(server);
    const there = new Device(watched.client(), device.accessToken, "");
    expectEmptyOk(await putRecoveryKey(there, recoveryKeyUpdate(otp)));
    const { statements, ...work } = take();
    expect(work).toEqual({ hashed: 1, verified: 0 });
    expect(statements).toHaveLength(1);
    await watched.stop();
  });
});
