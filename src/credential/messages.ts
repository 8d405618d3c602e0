/** What changing password, recovery key and account key says on the wire (messages.md). */
import { EncryptedBlobUpdate } from "../container/messages.ts";
import { bytes, int32, message, optional, string } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const AuthStringAndEncryptedPasswordUpdate = defineMessage("AuthStringAndEncryptedPasswordUpdate", {
  user_email: string(1),
  otp: string(2),
  new_auth_string: bytes(3),
  auth_string_hash_salt: bytes(4),
  auth_string_hash_mem_cost_kib: int32(5),
  auth_string_hash_threads: int32(6),
  auth_string_hash_iterations: int32(7),
  password_encryption_key_salt: bytes(8),
  password_encryption_key_mem_cost_kib: int32(9),
  password_encryption_key_threads: int32(10),
  password_encryption_key_iterations: int32(11),
  encrypted_encryption_key: bytes(12),
});
export type AuthStringAndEncryptedPasswordUpdate = MessageType<typeof AuthStringAndEncryptedPasswordUpdate>;

export const RecoveryKeyUpdate = defineMessage("RecoveryKeyUpdate", {
  otp: string(1),
  recovery_key_hash_salt_for_encryption: bytes(2),
  recovery_key_hash_salt_for_recovery_auth: bytes(3),
  recovery_key_hash_mem_cost_kib: int32(4),
  recovery_key_hash_threads: int32(5),
  recovery_key_hash_iterations: int32(6),
  recovery_key_auth_hash: bytes(7),
  encrypted_encryption_key: bytes(8),
});
export type RecoveryKeyUpdate = MessageType<typeof RecoveryKeyUpdate>;

export const AccountKeyUpdate = defineMessage("AccountKeyUpdate", {
  otp: string(1),
  encryption_key_encrypted_with_password: bytes(2),
  // A key made from the same password with a new salt. All four or none, which the route checks.
  password_encryption_key_salt: optional(bytes(3)),
  password_encryption_key_mem_cost_kib: optional(int32(4)),
  password_encryption_key_threads: optional(int32(5)),
  password_encryption_key_iterations: optional(int32(6)),
  recovery_key_hash_salt_for_encryption: bytes(7),
  recovery_key_hash_salt_for_recovery_auth: bytes(8),
  recovery_key_hash_mem_cost_kib: int32(9),
  recovery_key_hash_threads: int32(10),
  recovery_key_hash_iterations: int32(11),
  recovery_key_auth_hash: bytes(12),
  encryption_key_encrypted_with_recovery_key: bytes(13),
  preferences: message(14, EncryptedBlobUpdate),
  keystore: message(15, EncryptedBlobUpdate),
});
export type AccountKeyUpdate = MessageType<typeof AccountKeyUpdate>;
