/**
 * What changes of password, recovery key and account key must look like: sizes first, in the contract's order, then form
 * and ranges (decisions W8, A14).
 */
import type { Config } from "../config.ts";
import { ApiError } from "../errors.ts";
import { encryptionKeyBytesMax, keystoreBytesMax, preferencesBytesMax, requireSizes } from "../http/sizes.ts";
import { requireHashParameters, requireNotEmpty, requireSalt, SALT_BYTES_MAX } from "../user/hashParameters.ts";
import type { AccountKeyUpdate, AuthStringAndEncryptedPasswordUpdate, RecoveryKeyUpdate } from "./messages.ts";

export const NO_BYTES = new Uint8Array(0);

/** The limit of a salt, in bytes. */
export function saltBytesMax(config: Config): number {
  return Math.min(encryptionKeyBytesMax(config), SALT_BYTES_MAX);
}

/** @throws ApiError INPUT_TOO_LARGE, INCORRECTLY_FORMED */
export function requirePasswordForm(update: AuthStringAndEncryptedPasswordUpdate, config: Config): void {
  requireSizes([
    ["new_auth_string", update.new_auth_string, config.authStringLengthMax],
    ["auth_string_hash_salt", update.auth_string_hash_salt, saltBytesMax(config)],
    ["password_encryption_key_salt", update.password_encryption_key_salt, saltBytesMax(config)],
    ["encrypted_encryption_key", update.encrypted_encryption_key, encryptionKeyBytesMax(config)],
  ]);
  requireNotEmpty("new_auth_string", update.new_auth_string);
  requireSalt("auth_string_hash_salt", update.auth_string_hash_salt);
  requireSalt("password_encryption_key_salt", update.password_encryption_key_salt);
  requireHashParameters("auth_string_hash", {
    mem_cost_kib: update.auth_string_hash_mem_cost_kib,
    threads: update.auth_string_hash_threads,
    iterations: update.auth_string_hash_iterations,
  });
  requireHashParameters("password_encryption_key", {
    mem_cost_kib: update.password_encryption_key_mem_cost_kib,
    threads: update.password_encryption_key_threads,
    iterations: update.password_encryption_key_iterations,
  });
}

/** @throws ApiError INPUT_TOO_LARGE, INCORRECTLY_FORMED */
export function requireRecoveryKeyForm(update: RecoveryKeyUpdate, config: Config): void {
  const keyBytesMax = encryptionKeyBytesMax(config);
  requireSizes([
    ["recovery_key_hash_salt_for_encryption", update.recovery_key_hash_salt_for_encryption, saltBytesMax(config)],
    ["recovery_key_hash_salt_for_recovery_auth", update.recovery_key_hash_salt_for_recovery_auth, saltBytesMax(config)],
    ["recovery_key_auth_hash", update.recovery_key_auth_hash, keyBytesMax],
    ["encrypted_encryption_key", update.encrypted_encryption_key, keyBytesMax],
  ]);
  requireRecoveryHash(update);
}

/** @throws ApiError INPUT_TOO_LARGE, INCORRECTLY_FORMED */
export function requireAccountKeyForm(update: AccountKeyUpdate, config: Config): void {
  const keyBytesMax = encryptionKeyBytesMax(config);
  const { encryption_key_encrypted_with_password, encryption_key_encrypted_with_recovery_key } = update;
  requireSizes([
    ["encryption_key_encrypted_with_password", encryption_key_encrypted_with_password, keyBytesMax],
    ["password_encryption_key_salt", update.password_encryption_key_salt ?? NO_BYTES, saltBytesMax(config)],
    ["recovery_key_hash_salt_for_encryption", update.recovery_key_hash_salt_for_encryption, saltBytesMax(config)],
    ["recovery_key_hash_salt_for_recovery_auth", update.recovery_key_hash_salt_for_recovery_auth, saltBytesMax(config)],
    ["recovery_key_auth_hash", update.recovery_key_auth_hash, keyBytesMax],
    ["encryption_key_encrypted_with_recovery_key", encryption_key_encrypted_with_recovery_key, keyBytesMax],
    ["preferences", update.preferences.encrypted_blob, preferencesBytesMax(config)],
    ["keystore", update.keystore.encrypted_blob, keystoreBytesMax(config)],
  ]);
  requireWholeOrNone("password_encryption_key", {
    salt: update.password_encryption_key_salt,
    mem_cost_kib: update.password_encryption_key_mem_cost_kib,
    threads: update.password_encryption_key_threads,
    iterations: update.password_encryption_key_iterations,
  });
  requireRecoveryHash(update);
}

/** How a client makes a key from a password; the fields of a message that may leave all of them out. */
export interface OptionalKeyParameters {
  salt: Uint8Array | undefined;
  mem_cost_kib: number | undefined;
  threads: number | undefined;
  iterations: number | undefined;
}

/**
 * Checks parameters that are good only together.
 *
 * @param prefix of the four fields, for the message
 * @throws ApiError INCORRECTLY_FORMED
 */
export function requireWholeOrNone(prefix: string, parameters: OptionalKeyParameters): void {
  const { salt, mem_cost_kib, threads, iterations } = parameters;
  if (Object.values(parameters).every((value) => value === undefined)) return;
  if (salt === undefined || mem_cost_kib === undefined || threads === undefined || iterations === undefined) {
    throw new ApiError("INCORRECTLY_FORMED", `Of the four fields ${prefix}_…, all must be there or none.`);
  }
  requireSalt(`${prefix}_salt`, salt);
  requireHashParameters(prefix, { mem_cost_kib, threads, iterations });
}

/** @throws ApiError INCORRECTLY_FORMED */
function requireRecoveryHash(update: Omit<RecoveryKeyUpdate, "otp" | "encrypted_encryption_key">): void {
  requireNotEmpty("recovery_key_auth_hash", update.recovery_key_auth_hash);
  requireSalt("recovery_key_hash_salt_for_encryption", update.recovery_key_hash_salt_for_encryption);
  requireSalt("recovery_key_hash_salt_for_recovery_auth", update.recovery_key_hash_salt_for_recovery_auth);
  requireHashParameters("recovery_key_hash", {
    mem_cost_kib: update.recovery_key_hash_mem_cost_kib,
    threads: update.recovery_key_hash_threads,
    iterations: update.recovery_key_hash_iterations,
  });
}
