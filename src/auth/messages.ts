/** What sign-in, sessions, passcodes and recovery say on the wire (messages.md, new-messages.md). */
import { bool, bytes, int32, int64, list, message, optional, string, timestamp, uuid } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const CredentialPair = defineMessage("CredentialPair", {
  email: string(1),
  auth_string: bytes(2),
  nonce: int32(3),
});
export type CredentialPair = MessageType<typeof CredentialPair>;

export const Otp = defineMessage("Otp", {
  value: string(1),
});
export type Otp = MessageType<typeof Otp>;

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

export const SigninNonceAndHashParams = defineMessage("SigninNonceAndHashParams", {
  auth_string_hash_salt: bytes(1),
  auth_string_hash_mem_cost_kib: int32(2),
  auth_string_hash_threads: int32(3),
  auth_string_hash_iterations: int32(4),
  nonce: int32(5),
});
export type SigninNonceAndHashParams = MessageType<typeof SigninNonceAndHashParams>;

export const SigninToken = defineMessage("SigninToken", {
  value: string(1),
});
export type SigninToken = MessageType<typeof SigninToken>;

export const TokenPair = defineMessage("TokenPair", {
  access_token: string(1),
  refresh_token: string(2),
  server_time: timestamp(3),
});
export type TokenPair = MessageType<typeof TokenPair>;

export const AuthenticatedSession = defineMessage("AuthenticatedSession", {
  tokens: optional(message(1, TokenPair)),
  preferences_encrypted: bytes(2),
  preferences_version_nonce: int64(3),
  user_keystore_encrypted: bytes(4),
  user_keystore_version_nonce: int64(5),
  password_encryption_key_salt: bytes(6),
  password_encryption_key_mem_cost_kib: int32(7),
  password_encryption_key_threads: int32(8),
  password_encryption_key_iterations: int32(9),
  encryption_key_encrypted_with_password: bytes(10),
});
export type AuthenticatedSession = MessageType<typeof AuthenticatedSession>;

export const Session = defineMessage("Session", {
  id: uuid(1),
  expiration: timestamp(2),
  is_current: bool(3),
  label_encrypted: optional(bytes(4)),
});
export type Session = MessageType<typeof Session>;

export const SessionList = defineMessage("SessionList", {
  sessions: list(1, Session),
});
export type SessionList = MessageType<typeof SessionList>;

export const SessionId = defineMessage("SessionId", {
  value: uuid(1),
});
export type SessionId = MessageType<typeof SessionId>;

export const SessionLabel = defineMessage("SessionLabel", {
  value: bytes(1),
});
export type SessionLabel = MessageType<typeof SessionLabel>;

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
