/** Adding second factors to an account and removing them. Each needs the password first (decision A16). */
import { randomBytes, randomUUID } from "node:crypto";
import { requirePassword } from "../auth/guesses.ts";
import { expired } from "../crypto/userTokens.ts";
import { uuidBytes } from "../crypto/uuid.ts";
import { factor as queries } from "../db/queries.ts";
import { ApiError } from "../errors.ts";
import type { PresentedToken } from "../http/access.ts";
import { sendNotice } from "../mail/accountLetters.ts";
import { nowMicros, type Services } from "../services.ts";
import { attemptLimit, reportFailure, requireCounted } from "./attempts.ts";
import type { TotpEnrolment } from "./messages.ts";
import { parseRegistration } from "./passkeyResponses.ts";
import {
  checkRegistration,
  enrolmentOptions,
  type KnownPasskey,
  PASSKEY_CHALLENGE_BYTES,
  PASSKEY_CHALLENGE_LIFETIME_MS,
} from "./passkeys.ts";
import { newRecoveryCodes } from "./recoveryCodes.ts";
import { isTotpCode, newTotpSecret, sealTotpSecret, totpStepOf, totpUri, unsealTotpSecret } from "./totp.ts";

/** Most factors that an account may have when a passkey is added. */
const FACTORS_MAX = 20;
/** How long the secret of an authenticator app can be confirmed. */
const CONFIRMATION_MICROS = 3_600_000_000n;

/** The account of an access token, its password proven. @throws ApiError TOKEN_EXPIRED, and as requirePassword */
export async function requireOwner(
  services: Services,
  user_id: string,
  auth_string: Uint8Array,
  clientAddress: string | undefined,
): Promise<{ email: string }> {
  const account = await queries.read_password_hash(services.db, { user_id });
  if (!account) throw expired();
  await requirePassword(services, account, auth_string, clientAddress);
  return { email: account.email };
}

/**
 * Makes a secret for an authenticator app; it is of no use before it is confirmed.
 *
 * @throws ApiError CONFLICT_WITH_EXISTING when the account has a confirmed one, TOKEN_EXPIRED
 */
export async function beginTotp(services: Services, user_id: string, email: string): Promise<TotpEnrolment> {
  const id = randomUUID();
  const secret = newTotpSecret();
  const row = await queries.begin_totp(services.db, {
    user_id,
    id,
    secret_encrypted: sealTotpSecret(services, user_id, secret),
    confirmation_deadline: nowMicros(services) + CONFIRMATION_MICROS,
  });
  if (!row) throw expired();
  if (!row.was_stored) {
    throw new ApiError("CONFLICT_WITH_EXISTING", "The account has an authenticator app; remove that one first.");
  }
  return { id, secret, uri: totpUri(secret, email) };
}

/**
 * Confirms the authenticator app with its first code.
 *
 * @returns recovery codes, if this is the account's first factor
 * @throws ApiError TOKEN_EXPIRED, INVALID_STATE when there is nothing to confirm, TOO_MANY_ATTEMPTS with `Retry-After`,
 * INCORRECT_CREDENTIAL
 */
export async function confirmTotp(services: Services, user_id: string, code: string): Promise<string[]> {
  const { db, mailer, now } = services;
  if (!isTotpCode(code)) throw wrongCode();
  mailer.requireRoom();
  const row = await queries.begin_totp_confirmation(db, { user_id, ...attemptLimit(services) });
  if (!row) throw expired();
  const { email, id, secret_encrypted } = row;
  if (id === null || secret_encrypted === null) throw nothingToConfirm();
  const attempt = requireCounted(services, row);
  const secret = unsealTotpSecret(services, user_id, secret_encrypted);
  if (!secret) throw nothingToConfirm();
  const step = totpStepOf(secret, code, now());
  if (step === undefined) {
    reportFailure(services, attempt);
    throw wrongCode();
  }
  const { codes, recovery_code_hmacs } = newRecoveryCodes(services, user_id);
  const { attempts_period_start } = attempt;
  const confirmed = await queries.confirm_totp(db, {
    user_id,
    id,
    step,
    now: nowMicros(services),
    recovery_code_hmacs,
    attempts_period_start,
  });
  if (!confirmed) throw nothingToConfirm();
  sendNotice(services, email, "second-factor-added");
  return confirmed.is_first ? codes : [];
}

/**
 * What a browser is asked to make a passkey with, as JSON text. The challenge in it works once, for this session and
 * five minutes.
 *
 * @throws ApiError TOO_MANY_REQUESTED, TOKEN_EXPIRED
 */
export async function beginPasskey(services: Services, token: PresentedToken): Promise<string> {
  const { user_id } = token;
  const challenge = randomBytes(PASSKEY_CHALLENGE_BYTES);
  const { email, factors, passkeys } = await putPasskeyChallenge(services, {
    user_id,
    epoch: undefined,
    purpose: "enrolment",
    binding: sessionBinding(token),
    challenge,
  });
  if (factors >= FACTORS_MAX) throw tooManyFactors();
  return enrolmentOptions(services, { user_id, email, passkeys }, challenge);
}

/**
 * Stores a challenge, and reads the passkeys that may answer it, or that need not be made again.
 *
 * @throws ApiError TOKEN_EXPIRED when the account is gone or the sign-in token is void
 */
export async function putPasskeyChallenge(
  services: Services,
  challenge: {
    user_id: string;
    epoch: string | undefined;
    purpose: "enrolment" | "sign-in";
    binding: Uint8Array;
    challenge: Uint8Array;
  },
): Promise<{ email: string; factors: number; passkeys: KnownPasskey[] }> {
  const expiration = nowMicros(services) + BigInt(PASSKEY_CHALLENGE_LIFETIME_MS) * 1000n;
  const rows = await queries.put_passkey_challenge(services.db, { ...challenge, expiration });
  const [first] = rows;
  if (!first) throw expired();
  const passkeys = rows.flatMap(({ credential_id, transports }) =>
    credential_id === null ? [] : [{ credential_id, transports: transports ?? [] }],
  );
  return { email: first.email, factors: first.factors, passkeys };
}

/**
 * Adds the passkey that a browser has made.
 *
 * @param json WebAuthn's RegistrationResponseJSON
 * @returns recovery codes, if this is the account's first factor
 * @throws ApiError INPUT_TOO_LARGE, INCORRECTLY_FORMED, TOKEN_EXPIRED, INVALID_STATE without a challenge,
 * TOO_MANY_REQUESTED, CONFLICT_WITH_EXISTING
 */
export async function addPasskey(
  services: Services,
  token: PresentedToken,
  json: string,
  label_encrypted: Uint8Array | undefined,
): Promise<string[]> {
  const { db, mailer } = services;
  const { user_id } = token;
  const registration = parseRegistration(json);
  mailer.requireRoom();
  const binding = sessionBinding(token);
  const taken = await queries.take_enrolment_challenge(db, { user_id, binding, now: nowMicros(services) });
  if (!taken) throw expired();
  if (!taken.challenge) {
    throw new ApiError("INVALID_STATE", "Ask for the options first; each work once and for five minutes.");
  }
  const passkey = await checkRegistration(services, registration, taken.challenge);
  if (!passkey) {
    throw new ApiError(
      "INCORRECTLY_FORMED",
      "The passkey must be made with the newest options, for this server's domain and by an origin that it allows.",
    );
  }
  const { codes, recovery_code_hmacs } = newRecoveryCodes(services, user_id);
  const row = await queries.add_passkey(db, {
    ...passkey,
    user_id,
    id: randomUUID(),
    label_encrypted,
    factors_max: FACTORS_MAX,
    recovery_code_hmacs,
  });
  if (!row) throw expired();
  if (!row.had_room) throw tooManyFactors();
  if (!row.was_added) throw new ApiError("CONFLICT_WITH_EXISTING", "This passkey is in use already.");
  sendNotice(services, taken.email, "second-factor-added");
  return row.is_first ? codes : [];
}

/** Removes a factor; with the last one go the recovery codes. @throws ApiError KEY_DOES_NOT_EXIST */
export async function removeFactor(services: Services, user_id: string, id: string): Promise<void> {
  const removed = await queries.remove(services.db, { user_id, id });
  if (!removed) throw new ApiError("KEY_DOES_NOT_EXIST", "The account has no second factor with this id.");
  if (removed.was_confirmed) sendNotice(services, removed.email, "second-factor-removed");
}

/** Makes ten codes in place of those that are left. @throws ApiError INVALID_STATE for an account without a factor */
export async function renewRecoveryCodes(services: Services, user_id: string, email: string): Promise<string[]> {
  const { codes, recovery_code_hmacs } = newRecoveryCodes(services, user_id);
  const renewed = await queries.renew_recovery_codes(services.db, { user_id, recovery_code_hmacs });
  if (renewed === 0) {
    throw new ApiError("INVALID_STATE", "Recovery codes come with the first second factor; the account has none.");
  }
  sendNotice(services, email, "recovery-codes-renewed");
  return codes;
}

/** The password was given in one session; only that one may answer. Tokens of the reference name no session. */
function sessionBinding({ session_id, user_id }: PresentedToken): Uint8Array {
  return uuidBytes(session_id ?? user_id);
}

function wrongCode(): ApiError {
  return new ApiError("INCORRECT_CREDENTIAL", "The code is wrong or expired.");
}

function nothingToConfirm(): ApiError {
  return new ApiError("INVALID_STATE", "There is no authenticator app to confirm; begin again.");
}

function tooManyFactors(): ApiError {
  return new ApiError("TOO_MANY_REQUESTED", `An account may have ${FACTORS_MAX} second factors; remove one first.`);
}
