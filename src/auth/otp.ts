/**
 * One-time passcodes (decision A7): eight digits, stored only as HMAC, bound to a purpose and, for sign-in, to the token
 * that the client holds.
 */
import { createHmac, randomInt } from "node:crypto";
import { auth as queries } from "../db/queries.ts";
import { ApiError } from "../errors.ts";
import { otpLetter } from "../mail/letters.ts";
import { nowMicros, type Services } from "../services.ts";

export type OtpPurpose = "sign-in" | "account-change";

export const OTP_DIGITS = 8;
/** Wrong guesses that a passcode survives, plus one. */
export const OTP_ATTEMPTS = 5;
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

/** When a passcode made now expires, microseconds since the epoch. */
export function otpExpiration(services: Pick<Services, "config" | "now">): bigint {
  return nowMicros(services) + BigInt(services.config.otpLifetimeMins) * MICROS_PER_MIN;
}

/** Hands the letter with a passcode to the mail queue. @throws ApiError PREHANDLER 503 when the queue is full */
export function mailOtp({ mailer, config }: Services, address: string, otp: string): void {
  mailer.send(otpLetter({ to: address, otp, lifetime_mins: config.otpLifetimeMins }));
}

/**
 * Replaces the account's passcode for a purpose and mails the new one.
 *
 * @param binding as for otpHmac
 * @throws ApiError INCORRECT_CREDENTIAL when the account is gone, TOO_MANY_ATTEMPTS with `Retry-After` when too many
 * were sent in this period, PREHANDLER 503 when the mail queue is full
 */
export async function sendOtp(
  services: Services,
  purpose: OtpPurpose,
  user_id: string,
  binding: Uint8Array,
): Promise<void> {
  const { config, db, mailer } = services;
  mailer.requireRoom(); // before the previous passcode is void
  const otp = newOtp();
  const now = nowMicros(services);
  const period = BigInt(config.otpSendPeriodMins) * MICROS_PER_MIN;
  const row = await queries.put_otp(db, {
    user_id,
    purpose,
    otp_hmac: otpHmac(services, purpose, user_id, binding, otp),
    expiration: otpExpiration(services),
    attempts: OTP_ATTEMPTS,
    now,
    period_floor: now - period,
    sent_max: config.otpSendMax,
  });
  if (!row) throw new ApiError("INCORRECT_CREDENTIAL", "The account does not exist any more.");
  if (!row.was_stored) {
    const waitMicros = (row.period_start ?? now) + period - now;
    const headers = { "retry-after": String(Math.max(1, Math.ceil(Number(waitMicros) / 1e6))) };
    throw new ApiError("TOO_MANY_ATTEMPTS", "Too many passcodes were sent; try again later.", { headers });
  }
  mailOtp(services, row.email, otp);
}
