/** C4, W8: settings that allow more than the tables hold. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { EncryptedBlobUpdate } from "../../src/container/messages.ts";
import type { NewUser } from "../../src/user/messages.ts";
import {
  accountKeyUpdate,
  changeOtp,
  newPasswordKey,
  passwordUpdate,
  putAccountKey,
  putPassword,
  putRecoveryKey,
  recoveryKeyUpdate,
} from "../credential/changes.ts";
import { recover, recovery } from "../recovery/recoveries.ts";
import { newUser } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const KEY_BYTES = 4096;
const SALT_BYTES = 1024;
const BLOB_BYTES = 104_857_600;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    ENTRIES_MAX_ENCRYPTION_KEY_SIZE_KB: "8",
    ENTRIES_MAX_KEYSTORE_SIZE_KB: "200000",
    ENTRIES_MAX_USER_PREFERENCES_SIZE_KB: "200000",
    ENTRIES_PROTOBUF_MAX_SIZE_MB: "300",
    ENTRIES_OTP_SEND_MAX_PER_PERIOD: "100",
  });
});
afterAll(() => server.stop());

const KEYS = ["recovery_key_auth_hash", "encryption_key_encrypted_with_password"] as const;
const SALTS = ["auth_string_hash_salt", "recovery_key_hash_salt_for_encryption"] as const;

describe("C4: a limit that the settings allow and the tables do not is told as INPUT_TOO_LARGE", () => {
  test.each<[keyof NewUser, number]>([
    ...KEYS.map((field) => [field, KEY_BYTES] as [keyof NewUser, number]),
    ...SALTS.map((field) => [field, SALT_BYTES] as [keyof NewUser, number]),
  ])("at sign-up: %s, %i bytes", async (field, bytesMax) => {
    const create = (bytes: number) => server.client().createUser(newUser({ [field]: randomBytes(bytes) }));
    expectError(await create(bytesMax + 1), "INPUT_TOO_LARGE");
    expect((await create(bytesMax)).status).toBe(201);
  });

  test("in changes of the password, the recovery key and the account key", async () => {
    const device = await server.signUp();
    const { client, user } = device;
    const key = randomBytes(KEY_BYTES + 1);
    const salt = randomBytes(SALT_BYTES + 1);
    const otp = await changeOtp(server, device, user);
    for (const change of [{ encrypted_encryption_key: key }, { auth_string_hash_salt: salt }]) {
      expectError(await putPassword(client, passwordUpdate(user, otp, change)), "INPUT_TOO_LARGE");
    }
    for (const change of [{ encrypted_encryption_key: key }, { recovery_key_hash_salt_for_encryption: salt }]) {
      expectError(await putRecoveryKey(device, recoveryKeyUpdate(otp, change)), "INPUT_TOO_LARGE");
    }
    const newSalt = { ...newPasswordKey(), password_encryption_key_salt: salt };
    for (const change of [{ encryption_key_encrypted_with_password: key }, newSalt]) {
      expectError(await putAccountKey(device, accountKeyUpdate(user, otp, change)), "INPUT_TOO_LARGE");
    }
    // What is as large as the tables hold passes.
    const largest = {
      encrypted_encryption_key: randomBytes(KEY_BYTES),
      auth_string_hash_salt: randomBytes(SALT_BYTES),
    };
    expectEmptyOk(await putPassword(client, passwordUpdate(user, otp, largest), device.headers()));
  });

  test("in a recovery", async () => {
    const { user } = await server.signUp();
    for (const change of [
      { encryption_key_encrypted_with_new_password: randomBytes(KEY_BYTES + 1) },
      { new_auth_string_hash_salt: randomBytes(SALT_BYTES + 1) },
    ]) {
      expectError(await recover(server.client(), recovery(user, change)), "INPUT_TOO_LARGE");
    }
    const largest = { encryption_key_encrypted_with_new_password: randomBytes(KEY_BYTES) };
    expectEmptyOk(await recover(server.client(), recovery(user, largest)));
  });

  test.each(["preferences", "keystore"])("in the %s: 104,857,600 bytes", async (what) => {
    const device = await server.signUp();
    const update = {
      encrypted_blob: new Uint8Array(BLOB_BYTES + 1),
      version_nonce: 1n,
      expected_previous_version_nonce: 1n,
    };
    const answer = await device.client.call("PUT", `/api/user/${what}`, {
      request: [EncryptedBlobUpdate, update],
      headers: device.headers(),
    });
    expectError(answer, "INPUT_TOO_LARGE");
  });
});
