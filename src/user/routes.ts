import { randomUUID } from "node:crypto";
import { SigninToken } from "../auth/messages.ts";
import { mailOtp, newOtp, OTP_ATTEMPTS, otpExpiration, otpHmac } from "../auth/otp.ts";
import { BROWSER_HEADER, giveSigninToken, issueSigninToken } from "../auth/signinToken.ts";
import type { Config } from "../config.ts";
import { EncryptedBlobUpdate } from "../container/messages.ts";
import { phonyPublicKey } from "../crypto/phonyPublicKey.ts";
import { isRecipientPublicKey } from "../crypto/recipientKey.ts";
import { EMAIL_QUERY, lookupForm, requireEmailParameter, requireNewAddress } from "../emailAddress.ts";
import { ApiError } from "../errors.ts";
import { endpoint } from "../http/endpoint.ts";
import {
  encryptionKeyBytesMax,
  keystoreBodyBytesMax,
  keystoreBytesMax,
  preferencesBodyBytesMax,
  preferencesBytesMax,
  requireSizes,
  signUpBodyBytesMax,
} from "../http/sizes.ts";
import { nowMicros } from "../services.ts";
import type { SignupPolicy } from "../settings/types.ts";
import {
  createUser,
  findPublicKey,
  replaceKeystore,
  replacePreferences,
  replacePublicKey,
  requireFreeAddress,
} from "./dao.ts";
import { requireHashParameters, requireNotEmpty, requireSalt, SALT_BYTES_MAX } from "./hashParameters.ts";
import { NewUser, NewUserPublicKey, UserPublicKey } from "./messages.ts";

const MICROS_PER_DAY = 86_400_000_000n;

export const userRoutes = [
  endpoint(
    {
      method: "POST",
      path: "/api/user",
      summary: "Makes an account and mails a passcode to its address.",
      limit: "expensive-auth",
      tokens: {},
      request: NewUser,
      response: SigninToken,
      headers: BROWSER_HEADER,
      status: 201,
      bodyBytesMax: signUpBodyBytesMax,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "CONFLICT_WITH_EXISTING"],
    },
    async (context) => {
      const { services, body } = context;
      const { db, passwords } = services;
      const email = requireAcceptable(body, services.config);
      requireMayJoin(email, services.config.signup);
      services.mailer.requireRoom(); // an account whose passcode cannot be mailed must not be made
      await requireFreeAddress(db, email, nowMicros(services)); // before the expensive part; the insert decides
      const [auth_string_hash, recovery_key_auth_hash_rehashed] = await Promise.all([
        passwords.hash(body.auth_string),
        passwords.hash(body.recovery_key_auth_hash),
      ]);
      const id = randomUUID();
      const token_epoch = randomUUID();
      const token = issueSigninToken(services, id, token_epoch);
      const otp = newOtp();
      const now = nowMicros(services);
      await createUser(db, {
        ...body,
        id,
        token_epoch,
        email,
        auth_string_hash,
        recovery_key_auth_hash_rehashed,
        verification_deadline: now + BigInt(services.config.unverifiedUserAgeMaxDays) * MICROS_PER_DAY,
        otp_hmac: otpHmac(services, "sign-in", id, token.mac, otp),
        otp_expiration: otpExpiration(services),
        otp_attempts: OTP_ATTEMPTS,
        now,
      });
      mailOtp(services, email, otp);
      return giveSigninToken(context, token.text);
    },
  ),

  endpoint(
    {
      method: "GET",
      path: "/api/user/public-key",
      summary: "The public key of an address, to share a container with it. Unknown addresses have one as well.",
      limit: "read",
      tokens: { user: true },
      response: UserPublicKey,
      query: EMAIL_QUERY,
    },
    async ({ services, query, proofs: { user } }) => {
      const email = lookupForm(requireEmailParameter(query));
      const phony = phonyPublicKey(services.keys.phony, email); // for every request, so that all cost the same
      return (await findPublicKey(services.db, user.user_id, email)) ?? phony;
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/user/public-key",
      summary: "Replaces the caller's public key if the caller knows which one is present.",
      limit: "modify",
      tokens: { user: true },
      request: NewUserPublicKey,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "OUT_OF_DATE"],
    },
    async ({ services, body, proofs: { user } }) => {
      requireSizes([["value", body.value, encryptionKeyBytesMax(services.config)]]);
      requireRecipientPublicKey("value", body.value);
      await replacePublicKey(services.db, user.user_id, body);
      return undefined;
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/user/preferences",
      summary: "Replaces the caller's encrypted preferences if the caller has seen the newest version.",
      limit: "modify",
      tokens: { user: true },
      request: EncryptedBlobUpdate,
      bodyBytesMax: preferencesBodyBytesMax,
      errors: ["INPUT_TOO_LARGE", "OUT_OF_DATE"],
    },
    async ({ services, body, proofs: { user } }) => {
      requireSizes([["encrypted_blob", body.encrypted_blob, preferencesBytesMax(services.config)]]);
      await replacePreferences(services.db, user.user_id, body);
      return undefined;
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/user/keystore",
      summary: "Replaces the caller's encrypted keystore if the caller has seen the newest version.",
      limit: "modify",
      tokens: { user: true },
      request: EncryptedBlobUpdate,
      bodyBytesMax: keystoreBodyBytesMax,
      errors: ["INPUT_TOO_LARGE", "OUT_OF_DATE"],
    },
    async ({ services, body, proofs: { user } }) => {
      requireSizes([["encrypted_blob", body.encrypted_blob, keystoreBytesMax(services.config)]]);
      await replaceKeystore(services.db, user.user_id, body);
      return undefined;
    },
  ),
];

/** @throws ApiError INCORRECTLY_FORMED (decision C5) */
function requireRecipientPublicKey(field: string, key: Uint8Array): void {
  if (isRecipientPublicKey(key)) return;
  throw new ApiError(
    "INCORRECTLY_FORMED",
    `${field} must be an RSA key of at least 2048 bits as SPKI in DER, or 0x58 and an X-Wing key of 1216 bytes.`,
  );
}

/** Who may make an account is the operator's choice (decision A15). @throws ApiError USER_DISALLOWED */
function requireMayJoin(email: string, policy: SignupPolicy): void {
  if (policy === "open") return;
  if (policy === "closed") throw new ApiError("USER_DISALLOWED", "This server takes no new accounts.");
  const domain = email.slice(email.indexOf("@") + 1);
  if (policy.domains.includes(domain)) return;
  throw new ApiError("USER_DISALLOWED", "This server takes new accounts only from certain e-mail domains.");
}

/**
 * Sizes first, then form and ranges (decision W8).
 *
 * @returns the address in lower case
 * @throws ApiError INPUT_TOO_LARGE, INCORRECTLY_FORMED
 */
function requireAcceptable(user: NewUser, config: Config): string {
  const keyBytesMax = encryptionKeyBytesMax(config);
  const saltBytesMax = Math.min(keyBytesMax, SALT_BYTES_MAX);
  requireSizes([
    ["auth_string", user.auth_string, config.authStringLengthMax],
    ["auth_string_hash_salt", user.auth_string_hash_salt, saltBytesMax],
    ["password_encryption_key_salt", user.password_encryption_key_salt, saltBytesMax],
    ["recovery_key_hash_salt_for_encryption", user.recovery_key_hash_salt_for_encryption, saltBytesMax],
    ["recovery_key_hash_salt_for_recovery_auth", user.recovery_key_hash_salt_for_recovery_auth, saltBytesMax],
    ["recovery_key_auth_hash", user.recovery_key_auth_hash, keyBytesMax],
    ["encryption_key_encrypted_with_password", user.encryption_key_encrypted_with_password, keyBytesMax],
    ["encryption_key_encrypted_with_recovery_key", user.encryption_key_encrypted_with_recovery_key, keyBytesMax],
    ["public_key", user.public_key, keyBytesMax],
    ["preferences_encrypted", user.preferences_encrypted, preferencesBytesMax(config)],
    ["user_keystore_encrypted", user.user_keystore_encrypted, keystoreBytesMax(config)],
  ]);
  const email = requireNewAddress("email", user.email);
  requireNotEmpty("auth_string", user.auth_string);
  requireNotEmpty("recovery_key_auth_hash", user.recovery_key_auth_hash);
  requireSalt("auth_string_hash_salt", user.auth_string_hash_salt);
  requireSalt("password_encryption_key_salt", user.password_encryption_key_salt);
  requireSalt("recovery_key_hash_salt_for_encryption", user.recovery_key_hash_salt_for_encryption);
  requireSalt("recovery_key_hash_salt_for_recovery_auth", user.recovery_key_hash_salt_for_recovery_auth);
  requireHashParameters("auth_string_hash", {
    mem_cost_kib: user.auth_string_hash_mem_cost_kib,
    threads: user.auth_string_hash_threads,
    iterations: user.auth_string_hash_iterations,
  });
  requireHashParameters("password_encryption_key", {
    mem_cost_kib: user.password_encryption_key_mem_cost_kib,
    threads: user.password_encryption_key_threads,
    iterations: user.password_encryption_key_iterations,
  });
  requireHashParameters("recovery_key_hash", {
    mem_cost_kib: user.recovery_key_hash_mem_cost_kib,
    threads: user.recovery_key_hash_threads,
    iterations: user.recovery_key_hash_iterations,
  });
  requireRecipientPublicKey("public_key", user.public_key);
  return email;
}
