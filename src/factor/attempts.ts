/**
 * The limit of wrong codes per account, whatever their kind: ten an hour. Each attempt is counted before it is looked
 * at, so that guesses sent at once cannot slip past; a right one is taken back. Mailed passcodes have limits of their own
 * (decision A7) and work on.
 */
import { ApiError } from "../errors.ts";
import { sendNotice } from "../mail/accountLetters.ts";
import { nowMicros, type Services } from "../services.ts";

export const FAILURES_MAX = 10;
const PERIOD_MICROS = 3_600_000_000n;

/** The parameters of statements that count an attempt. */
export function attemptLimit(services: Pick<Services, "now">): {
  now: bigint;
  period_floor: bigint;
  failures_max: number;
} {
  const now = nowMicros(services);
  return { now, period_floor: now - PERIOD_MICROS, failures_max: FAILURES_MAX };
}

/** An attempt that was counted. */
export interface Attempt {
  /** Of the account. */
  email: string;
  /** Wrong ones in this period, this one included. */
  failures: number;
  attempts_period_start: bigint;
}

/**
 * @param row what the statement answered: failures is null when the attempt was over the limit
 * @throws ApiError TOO_MANY_ATTEMPTS with `Retry-After`
 */
export function requireCounted(
  services: Pick<Services, "now">,
  row: { email: string; failures: number | null; period_start: bigint | null },
): Attempt {
  const { email, failures } = row;
  const now = nowMicros(services);
  const attempts_period_start = row.period_start ?? now;
  if (failures !== null) return { email, failures, attempts_period_start };
  const waitMicros = attempts_period_start + PERIOD_MICROS - now;
  const headers = { "retry-after": String(Math.max(1, Math.ceil(Number(waitMicros) / 1e6))) };
  throw new ApiError("TOO_MANY_ATTEMPTS", "Too many wrong codes; try again later.", { headers });
}

/** Called for an attempt that was wrong: the owner hears of the first in an hour, and when no more are let through. */
export function reportFailure(services: Services, { email, failures }: Attempt): void {
  if (failures === 1) sendNotice(services, email, "second-factor-wrong");
  if (failures === FAILURES_MAX) sendNotice(services, email, "second-factor-guesses");
}
