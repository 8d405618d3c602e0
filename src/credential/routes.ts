/**
 * Changes of password, recovery key and account key. Each is guarded by a passcode for account changes (decision A7),
 * which is used up in the statement that makes the change: a hash that fails loses nothing (accounts.md C11).
 */
import { randomUUID } from "node:crypto";
import { guardGuess } from "../auth/guesses.ts";
import { accountChangeOtpHmac, wrongOtp } from "../auth/otp.ts";
import { accessTokensEnd, forgetSessions } from "../auth/session.ts";
import { expired } from "../crypto/userTokens.ts";
import { credential as queries } from "../db/queries.ts";
import { lookupForm } from "../emailAddress.ts";
import { ApiError } from "../errors.ts";
import { endpoint } from "../http/endpoint.ts";
import { accountKeyBodyBytesMax } from "../http/sizes.ts";
import { sendNotice } from "../mail/accountLetters.ts";
import { nowMicros } from "../services.ts";
import { requireAccountKeyForm, requirePasswordForm, requireRecoveryKeyForm } from "./form.ts";
import { AccountKeyUpdate, AuthStringAndEncryptedPasswordUpdate, RecoveryKeyUpdate } from "./messages.ts";

export const credentialRoutes = [
  endpoint(
    {
      method: "PUT",
      path: "/api/user/password",
      summary: "Changes the password, given a passcode; signs out all devices but that of an access token sent along.",
      limit: "expensive-auth",
      tokens: { userIfSent: true },
      request: AuthStringAndEncryptedPasswordUpdate,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "INCORRECT_CREDENTIAL", "TOO_MANY_ATTEMPTS"],
    },
    async ({ services, body, proofs: { userIfSent }, clientAddress }) => {
      const { db, mailer, passwords, config } = services;
      requirePasswordForm(body, config);
      mailer.requireRoom();
      const email = lookupForm(body.user_email);
      const account = await queries.find_user(db, { email });
      const user_id = account?.user_id ?? randomUUID(); // nobody's: an unknown address takes the same way
      const otp_hmac = accountChangeOtpHmac(services, user_id, body.otp);
      const auth_string_hash = await passwords.hash(body.new_auth_string);
      // A stranger who knows the address could use up the passcode's attempts: guesses are limited as passwords are.
      const changed = await guardGuess(services, email, clientAddress, async () => {
        const row = await queries.change_password(db, {
          ...body,
          user_id,
          otp_hmac,
          now: nowMicros(services),
          kept_session: userIfSent?.user_id === user_id ? userIfSent.session_id : null,
          revoked_until: accessTokensEnd(services),
          auth_string_hash,
          encryption_key_encrypted_with_password: body.encrypted_encryption_key,
        });
        if (!row) throw wrongOtp();
        return row;
      });
      forgetSessions(services, changed.revoked_ids);
      sendNotice(services, changed.email, "password-changed");
      return undefined;
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/user/recovery-key",
      summary: "Changes the recovery key, given a passcode.",
      limit: "expensive-auth",
      tokens: { user: true },
      request: RecoveryKeyUpdate,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE"],
    },
    async ({ services, body, proofs: { user } }) => {
      const { db, mailer, passwords, config } = services;
      requireRecoveryKeyForm(body, config);
      mailer.requireRoom();
      const otp_hmac = accountChangeOtpHmac(services, user.user_id, body.otp);
      const recovery_key_auth_hash_rehashed = await passwords.hash(body.recovery_key_auth_hash);
      const account = await queries.change_recovery_key(db, {
        ...body,
        user_id: user.user_id,
        otp_hmac,
        now: nowMicros(services),
        recovery_key_auth_hash_rehashed,
        encryption_key_encrypted_with_recovery_key: body.encrypted_encryption_key,
      });
      if (!account) throw expired();
      if (!account.was_changed) throw wrongOtp();
      sendNotice(services, account.email, "recovery-key-changed");
      return undefined;
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/user/account-key",
      summary: "Replaces the account's key with all that it encrypts, given a passcode; signs out all other devices.",
      limit: "expensive-auth",
      tokens: { user: true },
      request: AccountKeyUpdate,
      bodyBytesMax: accountKeyBodyBytesMax,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "OUT_OF_DATE"],
    },
    async ({ services, body, proofs: { user } }) => {
      const { db, mailer, passwords, config } = services;
      requireAccountKeyForm(body, config);
      mailer.requireRoom();
      const otp_hmac = accountChangeOtpHmac(services, user.user_id, body.otp);
      const recovery_key_auth_hash_rehashed = await passwords.hash(body.recovery_key_auth_hash);
      const account = await queries.change_account_key(db, {
        ...body,
        user_id: user.user_id,
        otp_hmac,
        now: nowMicros(services),
        kept_session: user.session_id,
        revoked_until: accessTokensEnd(services),
        recovery_key_auth_hash_rehashed,
        preferences_encrypted: body.preferences.encrypted_blob,
        preferences_version_nonce: body.preferences.version_nonce,
        expected_preferences_version_nonce: body.preferences.expected_previous_version_nonce,
        user_keystore_encrypted: body.keystore.encrypted_blob,
        user_keystore_version_nonce: body.keystore.version_nonce,
        expected_user_keystore_version_nonce: body.keystore.expected_previous_version_nonce,
      });
      if (!account) throw expired();
      if (!account.otp_was_right) throw wrongOtp();
      if (!account.was_changed) {
        throw new ApiError("OUT_OF_DATE", "Preferences or keystore changed meanwhile; nothing was replaced.");
      }
      forgetSessions(services, account.revoked_ids);
      sendNotice(services, account.email, "account-key-changed");
      return undefined;
    },
  ),
];
