/** What sign-in, passcodes and tokens say on the wire (messages.md, new-messages.md). */
import { bool, bytes, int32, int64, message, optional, string, timestamp } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const CredentialPair = defineMessage("CredentialPair", {
  email: string(1),
  auth_string: bytes(2),
  nonce: int32(3),
  without_otp_mail: optional(bool(4)),
});
export type CredentialPair = MessageType<typeof CredentialPair>;

/** `value` is the mailed passcode; it is empty where one of the others is given. */
export const Otp = defineMessage("Otp", {
  value: string(1),
  totp: optional(string(2)),
  recovery_code: optional(string(3)),
  passkey: optional(string(4)),
});
export type Otp = MessageType<typeof Otp>;

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
