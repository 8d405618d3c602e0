/** Recovering an account with its recovery key, from what the server knows alone (decision A9). */
import { sendEmailChangeLink } from "../address/link.ts";
import { takeLinkMail } from "../auth/otp.ts";
import { accessTokensEnd, forgetSessions } from "../auth/session.ts";
import { recovery as queries } from "../db/queries.ts";
import { EMAIL_QUERY, requireAddress, requireEmailParameter } from "../emailAddress.ts";
import { ApiError } from "../errors.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendNotice } from "../mail/accountLetters.ts";
import type { Services } from "../services.ts";
import { requireRecoveryForm } from "./form.ts";
import { RecoveryCredential, RecoveryKeyAuthAndPasswordUpdate, RecoveryMaterial, RecoveryParams } from "./messages.ts";
import {
  type RecoverableAccount,
  recoveryParams,
  requireRecoveryKey,
  upgradeRecoveryHash,
  wrongRecoveryKey,
} from "./recoveryKey.ts";

export const recoveryRoutes = [
  endpoint(
    {
      method: "GET",
      path: "/api/auth/recovery-params",
      summary: "How the client of an address hashes the recovery key. Same for unknown addresses.",
      limit: "read",
      tokens: {},
      response: RecoveryParams,
      query: EMAIL_QUERY,
    },
    async ({ services, query }) => recoveryParams(services, requireEmailParameter(query)),
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/auth/recovery/begin",
      summary: "Gives the holder of the recovery key the account's key that it unwraps.",
      limit: "expensive-auth",
      tokens: {},
      request: RecoveryCredential,
      response: RecoveryMaterial,
      errors: ["INCORRECTLY_FORMED", "INCORRECT_CREDENTIAL", "INVALID_STATE", "TOO_MANY_ATTEMPTS"],
    },
    async ({ services, body, clientAddress }) => {
      const address = requireAddress("email", body.email);
      const keyHash = body.recovery_key_hash_for_recovery_auth;
      const account = await requireRecoveryKey(services, address, keyHash, clientAddress);
      await upgradeRecoveryHash(services, account, keyHash);
      return { encryption_key_encrypted_with_recovery_key: account.encryption_key_encrypted_with_recovery_key };
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/auth/recover-with-recovery-key",
      summary: "Replaces password and recovery key, given the recovery key; signs out all devices.",
      limit: "expensive-auth",
      tokens: {},
      request: RecoveryKeyAuthAndPasswordUpdate,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "INCORRECT_CREDENTIAL", "INVALID_STATE", "TOO_MANY_ATTEMPTS"],
    },
    async ({ services, body, clientAddress }) => {
      const { address, new_address } = requireRecoveryForm(body, services.config);
      services.mailer.requireRoom();
      const keyHash = body.recovery_key_hash_for_recovery_auth;
      const account = await requireRecoveryKey(services, address, keyHash, clientAddress);
      const wantedAddress = new_address === account.email ? undefined : new_address;
      // Who may not send another link hears so while nothing has changed yet.
      if (wantedAddress !== undefined) await takeLinkMail(services, "email-link", account.user_id);
      const { email, token_epoch } = await recover(services, account, body);
      sendNotice(services, email, "account-recovered");
      if (wantedAddress !== undefined) {
        await sendLink(services, { user_id: account.user_id, token_epoch, email, new_email: wantedAddress });
      }
      return undefined;
    },
  ),
];

/**
 * Hashes the new secrets and writes them. Of several recoveries with one key, one succeeds.
 *
 * @throws ApiError INCORRECT_CREDENTIAL when the recovery key was replaced meanwhile, PREHANDLER 503
 */
async function recover(
  services: Services,
  { user_id, recovery_key_auth_hash_rehashed: checked_hash }: RecoverableAccount,
  update: RecoveryKeyAuthAndPasswordUpdate,
): Promise<{ email: string; token_epoch: string }> {
  const { db, passwords } = services;
  const [auth_string_hash, recovery_key_auth_hash_rehashed] = await Promise.all([
    passwords.hash(update.new_auth_string),
    passwords.hash(update.new_recovery_key_auth_hash),
  ]);
  const recovered = await queries.recover(db, {
    user_id,
    checked_hash,
    revoked_until: accessTokensEnd(services),
    auth_string_hash,
    auth_string_hash_salt: update.new_auth_string_hash_salt,
    auth_string_hash_mem_cost_kib: update.new_auth_string_hash_mem_cost_kib,
    auth_string_hash_threads: update.new_auth_string_hash_threads,
    auth_string_hash_iterations: update.new_auth_string_hash_iterations,
    encryption_key_encrypted_with_password: update.encryption_key_encrypted_with_new_password,
    password_encryption_key_salt: update.new_password_encryption_key_salt,
    password_encryption_key_mem_cost_kib: update.new_password_encryption_key_mem_cost_kib,
    password_encryption_key_threads: update.new_password_encryption_key_threads,
    password_encryption_key_iterations: update.new_password_encryption_key_iterations,
    recovery_key_hash_salt_for_encryption: update.new_recovery_key_hash_salt_for_encryption,
    recovery_key_hash_salt_for_recovery_auth: update.new_recovery_key_hash_salt_for_recovery_auth,
    recovery_key_hash_mem_cost_kib: update.new_recovery_key_hash_mem_cost_kib,
    recovery_key_hash_threads: update.new_recovery_key_hash_threads,
    recovery_key_hash_iterations: update.new_recovery_key_hash_iterations,
    recovery_key_auth_hash_rehashed,
    encryption_key_encrypted_with_recovery_key: update.encryption_key_encrypted_with_new_recovery_key,
  });
  if (!recovered) throw wrongRecoveryKey();
  forgetSessions(services, recovered.revoked_ids);
  return recovered;
}

/** The account is recovered by now, and is told so even when the link cannot be sent (accounts.md C24). */
async function sendLink(services: Services, change: Parameters<typeof sendEmailChangeLink>[1]): Promise<void> {
  try {
    await sendEmailChangeLink(services, change);
  } catch (error) {
    const reason = error instanceof ApiError ? error.type : "unexpected";
    services.log.error("a link was not sent", { reason });
  }
}
