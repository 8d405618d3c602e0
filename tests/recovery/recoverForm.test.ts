import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { RecoveryKeyAuthAndPasswordUpdate } from "../../src/recovery/messages.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { newPasswordKey, recover, recovery } from "./recoveries.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** A recovery that must be refused and must leave everything as it is. */
async function refused(update: RecoveryKeyAuthAndPasswordUpdate, type: Parameters<typeof expectError>[1]) {
  await expectUnchanged(server.db, async () => expectError(await recover(server.client(), update), type));
}

describe("the form of a recovery", () => {
  /** One row per check, in the order of 7.9; with all later ones spoilt too, each is told before them. */
  const CHECKS: [string, Partial<RecoveryKeyAuthAndPasswordUpdate>, Parameters<typeof expectError>[1], string][] = [
    ["the address", { user_email: "ann" }, "INCORRECTLY_FORMED", "user_email"],
    ["the new address", { new_user_email: "ann@" }, "INCORRECTLY_FORMED", "new_user_email"],
    ["the auth string's size", { new_auth_string: randomBytes(1025) }, "INCORRECTLY_FORMED", "new_auth_string has"],
    ...(
      [
        ["new_auth_string_hash_salt", 1025],
        ["new_recovery_key_hash_salt_for_encryption", 1025],
        ["new_recovery_key_hash_salt_for_recovery_auth", 1025],
        ["new_recovery_key_auth_hash", 4097],
        ["encryption_key_encrypted_with_new_password", 4097],
        ["encryption_key_encrypted_with_new_recovery_key", 4097],
      ] as const
    ).map(([field, bytes]): [string, Partial<RecoveryKeyAuthAndPasswordUpdate>, "INPUT_TOO_LARGE", string] => [
      `the size of ${field}`,
      { [field]: randomBytes(bytes) },
      "INPUT_TOO_LARGE",
      `${field} has`,
    ]),
    [
      "the size of new_password_encryption_key_salt",
      { ...newPasswordKey(), new_password_encryption_key_salt: randomBytes(1025) },
      "INPUT_TOO_LARGE",
      "new_password_encryption_key_salt has",
    ],
    ["the parameters", { new_auth_string_hash_threads: 0 }, "INCORRECTLY_FORMED", "new_auth_string_hash_threads"],
    ["the key", { recovery_key_hash_for_recovery_auth: randomBytes(33) }, "INCORRECT_CREDENTIAL", "The address or"],
  ];

  test("7.9: is checked in the contract's order, and each refusal changes nothing", async () => {
    const { user } = await server.signUp();
    await expectUnchanged(server.db, async () => {
      for (let first = 0; first < CHECKS.length; first++) {
        const spoilt = Object.assign({}, ...CHECKS.slice(first).map(([, change]) => change));
        const answer = await recover(server.client(), recovery(user, spoilt));
        const [what, , type, start] = CHECKS[first] ?? ["", {}, "INTERNAL_ERROR", ""];
        expect({ what, type: answer.error?.err_type }).toEqual({ what, type });
        expect(answer.error?.err_message).toStartWith(start);
      }
    });
  });

  test("7.9: exactly the largest sizes pass", async () => {
    const { user } = await server.signUp();
    const largest = {
      ...newPasswordKey(),
      new_password_encryption_key_salt: randomBytes(1024),
      new_auth_string: randomBytes(1024),
      new_auth_string_hash_salt: randomBytes(1024),
      new_recovery_key_hash_salt_for_encryption: randomBytes(1024),
      new_recovery_key_hash_salt_for_recovery_auth: randomBytes(1024),
      new_recovery_key_auth_hash: randomBytes(4096),
      encryption_key_encrypted_with_new_password: randomBytes(4096),
      encryption_key_encrypted_with_new_recovery_key: randomBytes(4096),
    };
    expectEmptyOk(await recover(server.client(), recovery(user, largest)));
  });

  test.each<[string, Partial<RecoveryKeyAuthAndPasswordUpdate>]>([
    ["an empty auth string", { new_auth_string: new Uint8Array(0) }],
    ["an empty recovery hash", { new_recovery_key_auth_hash: new Uint8Array(0) }],
    ["a short salt of the auth string", { new_auth_string_hash_salt: randomBytes(15) }],
    ["a short salt for encryption", { new_recovery_key_hash_salt_for_encryption: randomBytes(15) }],
    ["a short salt for authentication", { new_recovery_key_hash_salt_for_recovery_auth: randomBytes(15) }],
    ["little memory for the auth string", { new_auth_string_hash_mem_cost_kib: 19_455 }],
    ["little memory for the recovery key", { new_recovery_key_hash_mem_cost_kib: 19_455 }],
    ["too many iterations", { new_recovery_key_hash_iterations: 65 }],
    ["a short salt of the password's key", { ...newPasswordKey(), new_password_encryption_key_salt: randomBytes(15) }],
    ["no thread for the password's key", { ...newPasswordKey(), new_password_encryption_key_threads: 0 }],
    ["no salt among the four", { ...newPasswordKey(), new_password_encryption_key_salt: undefined }],
    ["no memory among the four", { ...newPasswordKey(), new_password_encryption_key_mem_cost_kib: undefined }],
    ["no threads among the four", { ...newPasswordKey(), new_password_encryption_key_threads: undefined }],
    ["no iterations among the four", { ...newPasswordKey(), new_password_encryption_key_iterations: undefined }],
    ["only one of the four", { new_password_encryption_key_threads: 2 }],
    ["a new address with an angle bracket (W10)", { new_user_email: "<b>@example.com" }],
    ["a new address with a line break (W10)", { new_user_email: "a\n@example.com" }],
    ["a new address that is too long (W8)", { new_user_email: `${"a".repeat(250)}@b.com` }],
  ])("A14: %s is INCORRECTLY_FORMED and changes nothing", async (_what, change) => {
    const { user } = await server.signUp();
    await refused(recovery(user, change), "INCORRECTLY_FORMED");
  });
});
