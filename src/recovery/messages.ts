/** What recovering an account with its recovery key says on the wire (messages.md, new-messages.md). */
import { bytes, int32, optional, string } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const RecoveryKeyAuthAndPasswordUpdate = defineMessage("RecoveryKeyAuthAndPasswordUpdate", {
  recovery_key_hash_for_recovery_auth: bytes(1),
  user_email: string(2),
  new_user_email: optional(string(3)),
  new_auth_string: bytes(4),
  new_auth_string_hash_salt: bytes(5),
  new_auth_string_hash_mem_cost_kib: int32(6),
  new_auth_string_hash_threads: int32(7),
  new_auth_string_hash_iterations: int32(8),
  new_recovery_key_hash_salt_for_encryption: bytes(9),
  new_recovery_key_hash_salt_for_recovery_auth: bytes(10),
  new_recovery_key_hash_mem_cost_kib: int32(11),
  new_recovery_key_hash_threads: int32(12),
  new_recovery_key_hash_iterations: int32(13),
  new_recovery_key_auth_hash: bytes(14),
  encryption_key_encrypted_with_new_password: bytes(15),
  encryption_key_encrypted_with_new_recovery_key: bytes(16),
  // Not known to clients in the field. All four or none, which the route checks.
  new_password_encryption_key_salt: optional(bytes(17)),
  new_password_encryption_key_mem_cost_kib: optional(int32(18)),
  new_password_encryption_key_threads: optional(int32(19)),
  new_password_encryption_key_iterations: optional(int32(20)),
});
export type RecoveryKeyAuthAndPasswordUpdate = MessageType<typeof RecoveryKeyAuthAndPasswordUpdate>;

export const RecoveryParams = defineMessage("RecoveryParams", {
  recovery_key_hash_salt_for_encryption: bytes(1),
  recovery_key_hash_salt_for_recovery_auth: bytes(2),
  recovery_key_hash_mem_cost_kib: int32(3),
  recovery_key_hash_threads: int32(4),
  recovery_key_hash_iterations: int32(5),
});
export type RecoveryParams = MessageType<typeof RecoveryParams>;

export const RecoveryCredential = defineMessage("RecoveryCredential", {
  email: string(1),
  recovery_key_hash_for_recovery_auth: bytes(2),
});
export type RecoveryCredential = MessageType<typeof RecoveryCredential>;

export const RecoveryMaterial = defineMessage("RecoveryMaterial", {
  encryption_key_encrypted_with_recovery_key: bytes(1),
});
export type RecoveryMaterial = MessageType<typeof RecoveryMaterial>;
