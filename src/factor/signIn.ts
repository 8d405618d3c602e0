/** The end of a sign-in with a second factor, in place of a mailed passcode. */
import type { Otp } from "../auth/messages.ts";
import { type auth as authQueries, factor as queries } from "../db/queries.ts";
import { ApiError } from "../errors.ts";
import { sendNotice } from "../mail/accountLetters.ts";
import type { Services } from "../services.ts";
import { attemptLimit, reportFailure, requireCounted } from "./attempts.ts";
import { type Assertion, credentialIdOf, parseAssertion } from "./passkeyResponses.ts";
import { checkAssertion } from "./passkeys.ts";
import { recoveryCodeHmac } from "./recoveryCodes.ts";
import { isTotpCode, totpStepOf, unsealTotpSecret } from "./totp.ts";

/** The sign-in token and the session that is to be opened. */
export type SessionOpening = Omit<Parameters<typeof authQueries.verify_otp>[1], "otp_hmac">;

type Proof =
  | { kind: "totp"; code: string }
  | { kind: "recovery code"; recovery_code_hmac: Uint8Array }
  | { kind: "passkey"; assertion: Assertion };
type AttemptRow = NonNullable<Awaited<ReturnType<typeof queries.begin_attempt>>>;
/** What `accept` uses up. */
type Found = Pick<
  Parameters<typeof queries.accept>[1],
  "totp_id" | "totp_step" | "recovery_code_hmac" | "passkey_id" | "passkey_sign_count"
>;

/** Whether a client gives a second factor, and no mailed passcode. @throws ApiError INCORRECTLY_FORMED for more than one */
export function isSecondFactor({ value, totp, recovery_code, passkey }: Otp): boolean {
  const given = [totp, recovery_code, passkey].filter((factor) => factor !== undefined).length;
  if (given === 0) return false;
  if (given === 1 && value === "") return true;
  throw new ApiError(
    "INCORRECTLY_FORMED",
    "Give one of totp, recovery_code and passkey, with an empty value, or none of them.",
  );
}

/**
 * Exchanges sign-in token and second factor for a session.
 *
 * @param otp as `isSecondFactor` accepts
 * @returns what a device needs; undefined when the factor is wrong, used or not there, or the token is void
 * @throws ApiError TOO_MANY_ATTEMPTS with `Retry-After`, INPUT_TOO_LARGE, INCORRECTLY_FORMED
 */
export async function openBySecondFactor(services: Services, otp: Otp, opening: SessionOpening) {
  const { db } = services;
  const proof = proofOf(services, opening.user_id, otp);
  if (!proof) return undefined;
  const row = await queries.begin_attempt(db, {
    user_id: opening.user_id,
    epoch: opening.epoch,
    token_signature: opening.token_signature,
    credential_id: proof.kind === "passkey" ? credentialIdOf(proof.assertion) : undefined,
    ...attemptLimit(services),
  });
  if (!row) return undefined;
  const attempt = requireCounted(services, row);
  const { attempts_period_start, email } = attempt;
  const found = await findFactor(services, opening.user_id, proof, row);
  const accepted = found && (await queries.accept(db, { ...opening, ...found, attempts_period_start }));
  if (!accepted) {
    reportFailure(services, attempt);
    return undefined;
  }
  const { recovery_codes_left, ...session } = accepted;
  if (recovery_codes_left !== null) sendNotice(services, email, "recovery-code-used");
  return session;
}

/** @returns undefined for a text that can be no code; nobody guesses anything with it, so it is not counted */
function proofOf(services: Services, user_id: string, { totp, recovery_code, passkey }: Otp): Proof | undefined {
  if (passkey !== undefined) return { kind: "passkey", assertion: parseAssertion(passkey) };
  if (totp !== undefined) return isTotpCode(totp) ? { kind: "totp", code: totp } : undefined;
  const recovery_code_hmac = recoveryCodeHmac(services, user_id, recovery_code ?? "");
  return recovery_code_hmac && { kind: "recovery code", recovery_code_hmac };
}

/** What of the account's factors the proof fits; a recovery code is compared by the statement that uses it up. */
async function findFactor(
  services: Services,
  user_id: string,
  proof: Proof,
  row: AttemptRow,
): Promise<Found | undefined> {
  if (proof.kind === "recovery code") return { recovery_code_hmac: proof.recovery_code_hmac };
  if (proof.kind === "totp") {
    const { totp_id, totp_secret_encrypted } = row;
    const secret = totp_secret_encrypted && unsealTotpSecret(services, user_id, totp_secret_encrypted);
    const totp_step = secret ? totpStepOf(secret, proof.code, services.now()) : undefined;
    return totp_step === undefined ? undefined : { totp_id, totp_step };
  }
  const { passkey_id, passkey_public_key: public_key, passkey_sign_count: sign_count, passkey_challenge } = row;
  if (public_key === null || sign_count === null || passkey_challenge === null) return undefined;
  const passkey = { public_key, sign_count };
  const passkey_sign_count = await checkAssertion(services, proof.assertion, passkey, passkey_challenge);
  return passkey_sign_count === undefined ? undefined : { passkey_id, passkey_sign_count };
}
