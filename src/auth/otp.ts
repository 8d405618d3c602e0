/**
 * One-time passcodes (decision A7): eight digits, stored only as HMAC, bound to a purpose and, for sign-in, to the token
 * that the client holds.
 */
import { createHmac, randomInt } from "node:crypto";
import { expired } from "../crypto/userTokens.ts";
import { auth as queries } from "../db/queries.ts";
import { ApiError } from "../errors.ts";
import { otpLetter } from "../mail/letters.ts";
import { nowMicros, type Services } from "../services.ts";

export type OtpPurpose = "sign-in" | "account-change";

export const OTP_DIGITS = 8;
/** Wrong guesses that a passcode survives, plus one. */
export const OTP_ATTEMPTS = 5;
/** What a passcode is bound to that is not for a sign-in. */
const NO_BINDING = new Uint8Array(0);
const MICROS_PER_MIN = 60_000_000n;

/** Each digit uniform, leading zeros kept. */
export function newOtp(): string {
  return String(randomInt(10 ** OTP_DIGITS)).padStart(OTP_DIGITS, "0");
}

/**
 * What is stored instead of the passcode: HMAC-SHA256 (RFC 2104), 32 bytes.
 *
 * @param binding the MAC of the sign-in token, 32 bytes; empty for other purposes
 */
export function otpHmac(
  { keys }: Pick<Services, "keys">,
  purpose: OtpPurpose,
  user_id: string,
  binding: Uint8Array,
  otp: string,
): Uint8Array {
  return createHmac("sha256", keys.otp).update(`${purpose}\n${user_id}\n`).update(binding).update(otp).digest();
}

/**
 * What is stored of a passcode for a change of the account, to be compared with the one that a client sends.
 *
 * @throws ApiError INCORRECT_CREDENTIAL for one that is too long to be any
 */
export function accountChangeOtpHmac(services: Pick<Services, "keys">, user_id: string, otp: string): Uint8Array {
  if (otp.length > OTP_DIGITS) throw wrongOtp();
  return otpHmac(services, "account-change", user_id, NO_BINDING, otp);
}

/** The same for wrong, expired, used-up and voided passcodes. */
export function wrongOtp(): ApiError {
  return new ApiError("INCORRECT_CREDENTIAL", "The passcode is wrong or expired.");
}

/** When a passcode made now expires, microseconds since the epoch. */
export function otpExpiration(services: Pick<Services, "config" | "now">): bigint {
  return nowMicros(services) + BigInt(services.config.otpLifetimeMins) * MICROS_PER_MIN;
}

/** Hands the letter with a passcode to the mail queue. @throws ApiError PREHANDLER 503 when the queue is full */
export function mailOtp({ mailer, config }: Services, address: string, otp: string): void {
  mailer.send(otpLetter({ to: address, otp, lifetime_mins: config.otpLifetimeMins }));
}

/**
 * Mails a passcode for the sign-in of a token.
 *
 * @param signIn what the token says
 * @throws ApiError TOKEN_EXPIRED when the token was used, its account is gone or has another epoch, and as sendOtp
 */
export async function sendSigninOtp(
  services: Services,
  signIn: { user_id: string; epoch: string | undefined; mac: Uint8Array },
): Promise<void> {
  await sendOtp(services, "sign-in", signIn.user_id, { epoch: signIn.epoch, mac: signIn.mac });
}

/**
 * Mails a passcode that guards a change of the account.
 *
 * @throws ApiError TOKEN_EXPIRED when the account is gone, and as sendOtp
 */
export async function sendAccountChangeOtp(services: Services, user_id: string): Promise<void> {
  await sendOtp(services, "account-change", user_id, { epoch: undefined, mac: NO_BINDING });
}

/**
 * Replaces the account's passcode for a purpose and mails the new one.
 *
 * @param binding the sign-in token that the passcode is for
 * @throws ApiError TOKEN_EXPIRED when the account is gone or does not honour that token any more, TOO_MANY_ATTEMPTS
 * with `Retry-After` when too many were sent in this period, PREHANDLER 503 when the mail queue is full
 */
async function sendOtp(
  services: Services,
  purpose: OtpPurpose,
  user_id: string,
  binding: { epoch: string | undefined; mac: Uint8Array },
): Promise<void> {
  const { config, db, mailer } = services;
  mailer.requireRoom(); // before the previous passcode is void
  const otp = newOtp();
  const now = nowMicros(services);
  const period = BigInt(config.otpSendPeriodMins) * MICROS_PER_MIN;
  const row = await queries.put_otp(db, {
    user_id,
    epoch: binding.epoch,
    token_signature: binding.mac,
    purpose,
    otp_hmac: otpHmac(services, purpose, user_id, binding.mac, otp),
    expiration: otpExpiration(services),
    attempts: OTP_ATTEMPTS,
    now,
    period_floor: now - period,
    sent_max: config.otpSendMax,
  });
  if (!row) throw expired();
  if (!row.was_stored) throw tooManyMails("passcodes", (row.period_start ?? now) + period - now);
  mailOtp(services, row.email, otp);
}

/** @param waitMicros microseconds until the next one may be sent */
function tooManyMails(what: string, waitMicros: bigint): ApiError {
  const headers = { "retry-after": String(Math.max(1, Math.ceil(Number(waitMicros) / 1e6))) };
  return new ApiError("TOO_MANY_ATTEMPTS", `Too many ${what} were sent; try again later.`, { headers });
}

/**
 * Counts a mail with a link against the account's limit, which is that of passcodes: nobody is flooded with mail.
 *
 * @throws ApiError TOO_MANY_ATTEMPTS with `Retry-After`, TOKEN_EXPIRED when the account is gone, PREHANDLER 503 when the
 * mail queue is full
 */
export async function takeLinkMail(
  services: Services,
  purpose: "email-link" | "deletion-link",
  user_id: string,
): Promise<void> {
  const { config, db, mailer } = services;
  mailer.requireRoom();
  const now = nowMicros(services);
  const period = BigInt(config.otpSendPeriodMins) * MICROS_PER_MIN;
  const row = await queries.count_link_mail(db, {
    user_id,
    purpose,
    now,
    period_floor: now - period,
    sent_max: config.otpSendMax,
  });
  if (!row) throw expired();
  if (!row.was_counted) throw tooManyMails("mails", (row.period_start ?? now) + period - now);
}
