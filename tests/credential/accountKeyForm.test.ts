import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { AccountKeyUpdate } from "../../src/credential/messages.ts";
import type { NewUser } from "../../src/user/messages.ts";
import { Device } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { accountKeyUpdate, newPasswordKey, putAccountKey, readyToChange, startWatchedServer } from "./changes.ts";

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

describe("the form of an account-key change", () => {
  const withBlob = (user: NewUser, name: "preferences" | "keystore", bytes: number) => {
    const update = accountKeyUpdate(user, "");
    return { [name]: { ...update[name], encrypted_blob: randomBytes(bytes) } };
  };

  test("W8: each field over its limit is 413, told in the order of the fields", async () => {
    const small = await startTestServer({ ENTRIES_MAX_KEYSTORE_SIZE_KB: "64" }, server.database);
    const { device, user, otp } = await ready();
    const there = new Device(small.client(), device.accessToken, "");
    const rows: [string, Partial<AccountKeyUpdate>][] = [
      ["encryption_key_encrypted_with_password", { encryption_key_encrypted_with_password: randomBytes(4097) }],
      ["password_encryption_key_salt", { ...newPasswordKey(), password_encryption_key_salt: randomBytes(1025) }],
      ["recovery_key_hash_salt_for_encryption", { recovery_key_hash_salt_for_encryption: randomBytes(1025) }],
      ["recovery_key_hash_salt_for_recovery_auth", { recovery_key_hash_salt_for_recovery_auth: randomBytes(1025) }],
      ["recovery_key_auth_hash", { recovery_key_auth_hash: randomBytes(4097) }],
      ["encryption_key_encrypted_with_recovery_key", { encryption_key_encrypted_with_recovery_key: randomBytes(4097) }],
      ["preferences", withBlob(user, "preferences", 32 * 1024 + 1)],
      ["keystore", withBlob(user, "keystore", 64 * 1024 + 1)],
    ];
    await expectUnchanged(server.db, async () => {
      for (let first = 0; first < rows.length; first++) {
        const tooLarge = Object.assign({}, ...rows.slice(first).map(([, change]) => change));
        const answer = await putAccountKey(
          there,
          accountKeyUpdate(user, otp, { ...tooLarge, otp: "too long to be any" }),
        );
        expectError(answer, "INPUT_TOO_LARGE");
        expect(answer.error?.err_message).toStartWith(`${rows[first]?.[0]} has`);
      }
    });
    const exactly = {
      ...withBlob(user, "preferences", 32 * 1024),
      ...withBlob(user, "keystore", 64 * 1024),
      recovery_key_auth_hash: randomBytes(4096),
      encryption_key_encrypted_with_password: randomBytes(4096),
      encryption_key_encrypted_with_recovery_key: randomBytes(4096),
    };
    expectEmptyOk(await putAccountKey(there, accountKeyUpdate(user, otp, exactly)));
    await small.stop();
  });

  test.each<[string, Partial<AccountKeyUpdate>]>([
    ["an empty hash", { recovery_key_auth_hash: new Uint8Array(0) }],
    ["a short salt for encryption", { recovery_key_hash_salt_for_encryption: randomBytes(15) }],
    ["a short salt for authentication", { recovery_key_hash_salt_for_recovery_auth: randomBytes(15) }],
    ["too little memory", { recovery_key_hash_mem_cost_kib: 19_455 }],
    ["a short salt for the password's key", { ...newPasswordKey(), password_encryption_key_salt: randomBytes(15) }],
    ["too many threads for the password's key", { ...newPasswordKey(), password_encryption_key_threads: 17 }],
    ["a salt without parameters", { password_encryption_key_salt: randomBytes(16) }],
    ["parameters without a salt", { ...newPasswordKey(), password_encryption_key_salt: undefined }],
    ["no memory among the parameters", { ...newPasswordKey(), password_encryption_key_mem_cost_kib: undefined }],
    ["no threads among the parameters", { ...newPasswordKey(), password_encryption_key_threads: undefined }],
    ["no iterations among the parameters", { ...newPasswordKey(), password_encryption_key_iterations: undefined }],
  ])("A14: %s is INCORRECTLY_FORMED and changes nothing", async (_what, change) => {
    const { device, user, otp } = await ready();
    await refused(device, accountKeyUpdate(user, otp, change), "INCORRECTLY_FORMED");
  });

  test("Speed: a change takes one hash and one statement", async () => {
    const { device, user, otp } = await ready();
    const { server: watched, take } = await startWatchedServer(server);
    const there = new Device(watched.client(), device.accessToken, "");
    expectEmptyOk(await putAccountKey(there, accountKeyUpdate(user, otp)));
    const { statements, ...work } = take();
    expect(work).toEqual({ hashed: 1, verified: 0 });
    expect(statements).toHaveLength(1);
    await watched.stop();
  });
});
