/**
 * Codes of authenticator apps (TOTP, RFC 6238): HMAC-SHA-1, six digits, a new one every 30 seconds, which is what all
 * apps can do.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { HOTP, Secret, TOTP } from "otpauth";
import { seal, unseal } from "../crypto/sealedBytes.ts";
import type { Services } from "../services.ts";
import { APP_NAME } from "./appName.ts";

/** As long as the hash, as RFC 4226 (section 4, R6) recommends. */
const SECRET_BYTES = 20;
const DIGITS = 6;
const PERIOD_SECS = 30;
/** Steps by which the clock of a phone may be off, or a code late, to either side (RFC 6238, section 5.2). */
const STEPS_ASIDE = 1;

/** A secret for one authenticator app, 20 random bytes. */
export function newTotpSecret(): Uint8Array {
  return randomBytes(SECRET_BYTES);
}

/** What an app reads from a QR code: `otpauth://totp/…` with the secret in base32. */
export function totpUri(secret: Uint8Array, email: string): string {
  const parameters = { issuer: APP_NAME, label: email, algorithm: "SHA1", digits: DIGITS, period: PERIOD_SECS };
  return new TOTP({ ...parameters, secret: asSecret(secret) }).toString();
}

/** Whether a text can be a code at all: six digits. */
export function isTotpCode(text: string): boolean {
  return text.length === DIGITS && /^\d+$/.test(text);
}

/**
 * Finds the time step that a code is of. Every step is computed and compared in constant time, so that the time taken
 * tells nothing.
 *
 * @param code as `isTotpCode` accepts
 * @param nowMs milliseconds since the Unix epoch
 * @returns the steps of 30 s since the Unix epoch; undefined when the code is of none around now
 */
export function totpStepOf(secret: Uint8Array, code: string, nowMs: number): bigint | undefined {
  const current = TOTP.counter({ period: PERIOD_SECS, timestamp: nowMs });
  let found: bigint | undefined;
  for (let step = current - STEPS_ASIDE; step <= current + STEPS_ASIDE; step++) {
    const right = HOTP.generate({ secret: asSecret(secret), algorithm: "SHA1", digits: DIGITS, counter: step });
    if (timingSafeEqual(Buffer.from(right), Buffer.from(code))) found = BigInt(step);
  }
  return found;
}

/** Encrypts a secret for its row, with the token encryption key. */
export function sealTotpSecret({ keys }: Pick<Services, "keys">, user_id: string, secret: Uint8Array): Uint8Array {
  return seal(keys.tokenEncryption, secret, purposeOf(user_id));
}

/** @returns undefined when the token encryption key was changed since the secret was stored */
export function unsealTotpSecret(
  { keys, log }: Pick<Services, "keys" | "log">,
  user_id: string,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const secret = unseal(keys.tokenEncryption, sealed, purposeOf(user_id));
  if (!secret)
    log.error("a TOTP secret cannot be read: the token encryption key is not the one that it was stored with");
  return secret;
}

function purposeOf(user_id: string): string {
  return `TOTP secret of ${user_id}`;
}

function asSecret(bytes: Uint8Array): Secret {
  return new Secret({ buffer: Uint8Array.from(bytes).buffer });
}
