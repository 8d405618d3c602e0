/** What an account's own routes say on the wire (messages.md). */
import { bytes, int32, int64, string, uuid } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const NewUser = defineMessage("NewUser", {
  email: string(1),
  auth_string: bytes(2),
  auth_string_hash_salt: bytes(3),
  auth_string_hash_mem_cost_kib: int32(4),
  auth_string_hash_threads: int32(5),
  auth_string_hash_iterations: int32(6),
  password_encryption_key_salt: bytes(7),
  password_encryption_key_mem_cost_kib: int32(8),
  password_encryption_key_threads: int32(9),
  password_encryption_key_iterations: int32(10),
  recovery_key_hash_salt_for_encryption: bytes(11),
  recovery_key_hash_salt_for_recovery_auth: bytes(12),
  recovery_key_hash_mem_cost_kib: int32(13),
  recovery_key_hash_threads: int32(14),
  recovery_key_hash_iterations: int32(15),
  recovery_key_auth_hash: bytes(16),
  encryption_key_encrypted_with_password: bytes(17),
  encryption_key_encrypted_with_recovery_key: bytes(18),
  public_key_id: uuid(19),
  public_key: bytes(20),
  preferences_encrypted: bytes(21),
  preferences_version_nonce: int64(22),
  user_keystore_encrypted: bytes(23),
  user_keystore_version_nonce: int64(24),
});
export type NewUser = MessageType<typeof NewUser>;

export const NewUserPublicKey = defineMessage("NewUserPublicKey", {
  id: uuid(1),
  value: bytes(2),
  expected_previous_public_key_id: uuid(3),
});
export type NewUserPublicKey = MessageType<typeof NewUserPublicKey>;

export const UserPublicKey = defineMessage("UserPublicKey", {
  id: uuid(1),
  value: bytes(2),
});
export type UserPublicKey = MessageType<typeof UserPublicKey>;
