/**
 * What a real client derives and keeps: the account's key, wrapped with keys that come from the password and from the
 * recovery key. The server gets only what this file hands over.
 */
import { argon2Sync, createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { NewUser } from "../../src/user/messages.ts";
import { newUser } from "../support/client.ts";

const COST = { mem_cost_kib: 19_456, threads: 1, iterations: 2 };
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Argon2id (RFC 9106) at the cost that is stored with the account. */
export function derive(secret: string | Uint8Array, salt: Uint8Array): Uint8Array {
  return argon2Sync("argon2id", {
    message: secret,
    nonce: salt,
    parallelism: COST.threads,
    tagLength: KEY_BYTES,
    memory: COST.mem_cost_kib,
    passes: COST.iterations,
  });
}

/** AES-256-GCM: nonce, ciphertext, tag. */
export function seal(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** @throws Error when the key is another one or the blob was changed */
export function open(key: Uint8Array, blob: Uint8Array): Uint8Array {
  const decipher = createDecipheriv("aes-256-gcm", key, blob.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(blob.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(blob.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}

/** What of an account comes from its password. */
export function passwordPart(password: string, accountKey: Uint8Array) {
  const auth_string_hash_salt = randomBytes(SALT_BYTES);
  const password_encryption_key_salt = randomBytes(SALT_BYTES);
  return {
    auth_string: derive(password, auth_string_hash_salt),
    auth_string_hash_salt,
    auth_string_hash_mem_cost_kib: COST.mem_cost_kib,
    auth_string_hash_threads: COST.threads,
    auth_string_hash_iterations: COST.iterations,
    password_encryption_key_salt,
    password_encryption_key_mem_cost_kib: COST.mem_cost_kib,
    password_encryption_key_threads: COST.threads,
    password_encryption_key_iterations: COST.iterations,
    encryption_key_encrypted_with_password: seal(derive(password, password_encryption_key_salt), accountKey),
  };
}

/** What of an account comes from its recovery key. */
export function recoveryPart(recoveryKey: Uint8Array, accountKey: Uint8Array) {
  const recovery_key_hash_salt_for_encryption = randomBytes(SALT_BYTES);
  const recovery_key_hash_salt_for_recovery_auth = randomBytes(SALT_BYTES);
  return {
    recovery_key_hash_salt_for_encryption,
    recovery_key_hash_salt_for_recovery_auth,
    recovery_key_hash_mem_cost_kib: COST.mem_cost_kib,
    recovery_key_hash_threads: COST.threads,
    recovery_key_hash_iterations: COST.iterations,
    recovery_key_auth_hash: derive(recoveryKey, recovery_key_hash_salt_for_recovery_auth),
    encryption_key_encrypted_with_recovery_key: seal(
      derive(recoveryKey, recovery_key_hash_salt_for_encryption),
      accountKey,
    ),
  };
}

/** A new account as its first device makes it; `preferences` is what only the owner can read. */
export function accountOf(password: string, recoveryKey: Uint8Array, preferences: string): NewUser {
  const accountKey = randomBytes(KEY_BYTES);
  return newUser({
    ...passwordPart(password, accountKey),
    ...recoveryPart(recoveryKey, accountKey),
    preferences_encrypted: seal(accountKey, Buffer.from(preferences)),
  });
}

export const newRecoveryKey = (): Uint8Array => randomBytes(KEY_BYTES);
