/** What the tests of recovery share: calls, and updates with values that differ from a new user's. */
import { randomBytes } from "node:crypto";
import {
  RecoveryCredential,
  RecoveryKeyAuthAndPasswordUpdate,
  RecoveryMaterial,
  RecoveryParams,
} from "../../src/recovery/messages.ts";
import type { NewUser } from "../../src/user/messages.ts";
import type { Client } from "../support/client.ts";

/** Replaces everything, given the recovery key that the user signed up with. */
export function recovery(
  user: NewUser,
  overrides: Partial<RecoveryKeyAuthAndPasswordUpdate> = {},
): RecoveryKeyAuthAndPasswordUpdate {
  return {
    recovery_key_hash_for_recovery_auth: user.recovery_key_auth_hash,
    user_email: user.email,
    new_auth_string: randomBytes(32),
    new_auth_string_hash_salt: randomBytes(21),
    new_auth_string_hash_mem_cost_kib: 70_011,
    new_auth_string_hash_threads: 3,
    new_auth_string_hash_iterations: 11,
    new_recovery_key_hash_salt_for_encryption: randomBytes(22),
    new_recovery_key_hash_salt_for_recovery_auth: randomBytes(23),
    new_recovery_key_hash_mem_cost_kib: 70_012,
    new_recovery_key_hash_threads: 4,
    new_recovery_key_hash_iterations: 12,
    new_recovery_key_auth_hash: randomBytes(34),
    encryption_key_encrypted_with_new_password: randomBytes(53),
    encryption_key_encrypted_with_new_recovery_key: randomBytes(54),
    ...overrides,
  };
}

/** The four optional fields. */
export function newPasswordKey() {
  return {
    new_password_encryption_key_salt: randomBytes(24),
    new_password_encryption_key_mem_cost_kib: 70_013,
    new_password_encryption_key_threads: 5,
    new_password_encryption_key_iterations: 13,
  };
}

export function recover(client: Client, update: RecoveryKeyAuthAndPasswordUpdate) {
  return client.call("POST", "/api/auth/recover-with-recovery-key", {
    request: [RecoveryKeyAuthAndPasswordUpdate, update],
  });
}

export function begin(client: Client, email: string, recovery_key_hash_for_recovery_auth: Uint8Array) {
  return client.call("POST", "/api/auth/recovery/begin", {
    request: [RecoveryCredential, { email, recovery_key_hash_for_recovery_auth }],
    response: RecoveryMaterial,
  });
}

export function fetchParams(client: Client, email: string) {
  return client.call("GET", `/api/auth/recovery-params?email=${encodeURIComponent(email)}`, {
    response: RecoveryParams,
  });
}
