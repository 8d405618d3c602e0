import type { Config } from "../config.ts";
import { NO_BYTES, requireWholeOrNone, saltBytesMax } from "../credential/form.ts";
import { requireAddress, requireNewAddress } from "../emailAddress.ts";
import { ApiError } from "../errors.ts";
import { encryptionKeyBytesMax, requireSizes } from "../http/sizes.ts";
import { requireHashParameters, requireNotEmpty, requireSalt } from "../user/hashParameters.ts";
import type { RecoveryKeyAuthAndPasswordUpdate } from "./messages.ts";

/**
 * Checks a recovery in the order of accounts.md 7.9: addresses, the new auth string (over its limit it is badly formed
 * here, not too large), other sizes, form and ranges (decision A14).
 *
 * @returns the addresses in lower case
 * @throws ApiError INCORRECTLY_FORMED, INPUT_TOO_LARGE
 */
export function requireRecoveryForm(
  update: RecoveryKeyAuthAndPasswordUpdate,
  config: Config,
): { address: string; new_address: string | undefined } {
  const address = requireAddress("user_email", update.user_email);
  const { new_user_email } = update;
  const new_address = new_user_email === undefined ? undefined : requireNewAddress("new_user_email", new_user_email);
  if (update.new_auth_string.length > config.authStringLengthMax) {
    throw new ApiError("INCORRECTLY_FORMED", `new_auth_string has more than ${config.authStringLengthMax} bytes.`);
  }
  requireFittingSizes(update, config);
  requireNewPassword(update);
  requireNewRecoveryKey(update);
  return { address, new_address };
}

function requireFittingSizes(update: RecoveryKeyAuthAndPasswordUpdate, config: Config): void {
  const saltMax = saltBytesMax(config);
  const keyMax = encryptionKeyBytesMax(config);
  const { encryption_key_encrypted_with_new_password, encryption_key_encrypted_with_new_recovery_key } = update;
  requireSizes([
    ["new_auth_string_hash_salt", update.new_auth_string_hash_salt, saltMax],
    ["new_recovery_key_hash_salt_for_encryption", update.new_recovery_key_hash_salt_for_encryption, saltMax],
    ["new_recovery_key_hash_salt_for_recovery_auth", update.new_recovery_key_hash_salt_for_recovery_auth, saltMax],
    ["new_recovery_key_auth_hash", update.new_recovery_key_auth_hash, keyMax],
    ["encryption_key_encrypted_with_new_password", encryption_key_encrypted_with_new_password, keyMax],
    ["encryption_key_encrypted_with_new_recovery_key", encryption_key_encrypted_with_new_recovery_key, keyMax],
    ["new_password_encryption_key_salt", update.new_password_encryption_key_salt ?? NO_BYTES, saltMax],
  ]);
}

function requireNewPassword(update: RecoveryKeyAuthAndPasswordUpdate): void {
  requireNotEmpty("new_auth_string", update.new_auth_string);
  requireSalt("new_auth_string_hash_salt", update.new_auth_string_hash_salt);
  requireHashParameters("new_auth_string_hash", {
    mem_cost_kib: update.new_auth_string_hash_mem_cost_kib,
    threads: update.new_auth_string_hash_threads,
    iterations: update.new_auth_string_hash_iterations,
  });
  requireWholeOrNone("new_password_encryption_key", {
    salt: update.new_password_encryption_key_salt,
    mem_cost_kib: update.new_password_encryption_key_mem_cost_kib,
    threads: update.new_password_encryption_key_threads,
    iterations: update.new_password_encryption_key_iterations,
  });
}

function requireNewRecoveryKey(update: RecoveryKeyAuthAndPasswordUpdate): void {
  requireNotEmpty("new_recovery_key_auth_hash", update.new_recovery_key_auth_hash);
  requireSalt("new_recovery_key_hash_salt_for_encryption", update.new_recovery_key_hash_salt_for_encryption);
  requireSalt("new_recovery_key_hash_salt_for_recovery_auth", update.new_recovery_key_hash_salt_for_recovery_auth);
  requireHashParameters("new_recovery_key_hash", {
    mem_cost_kib: update.new_recovery_key_hash_mem_cost_kib,
    threads: update.new_recovery_key_hash_threads,
    iterations: update.new_recovery_key_hash_iterations,
  });
}
