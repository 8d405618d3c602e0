/**
 * PostgreSQL's text form of a timestamp to microseconds since the Unix epoch and back, exactly.
 * postgres.js itself would go through Date: local time, milliseconds.
 */

const MICROS_PER_MS = 1000n;
const DIGIT_ZERO = 48;

const FORM = /^\d{4,6}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?(?:\+00)?$/;

/**
 * Reads `2026-01-31 08:15:00.123456`, as PostgreSQL writes a `timestamp` (or, with `+00` behind it, a `timestamptz` in
 * a session whose time zone is UTC). Digits are picked by position: a fetch reads thousands of times, and the pieces
 * that a match makes cost more than all the rest.
 *
 * @throws RangeError for other forms: infinity and years before Christ
 */
export function parseTimestamp(text: string): bigint {
  if (!FORM.test(text)) throw new RangeError(`the database holds a time outside the supported range: ${text}`);
  const yearEnd = text.indexOf("-");
  const pair = (at: number) => digitsAt(text, yearEnd + at, 2);
  const ms = Date.UTC(digitsAt(text, 0, yearEnd), pair(1) - 1, pair(4), pair(7), pair(10), pair(13));
  return BigInt(ms) * MICROS_PER_MS + BigInt(fractionAt(text, yearEnd + 16));
}

function digitsAt(text: string, start: number, count: number): number {
  let number = 0;
  for (let at = start; at < start + count; at++) number = number * 10 + text.charCodeAt(at) - DIGIT_ZERO;
  return number;
}

/** The digits behind the point in microseconds; 0 when there are none. */
function fractionAt(text: string, start: number): number {
  let micros = 0;
  for (let at = start, unit = 100_000; unit >= 1; at++, unit /= 10) {
    const digit = text.charCodeAt(at) - DIGIT_ZERO;
    if (!(digit >= 0)) break; // the end, or the plus sign of the time zone
    micros += digit * unit;
  }
  return micros;
}

/** Writes microseconds since the epoch as PostgreSQL reads them, for example `2026-01-31T08:15:00.123456Z`. */
export function formatTimestamp(micros: bigint): string {
  const rest = ((micros % MICROS_PER_MS) + MICROS_PER_MS) % MICROS_PER_MS;
  const ms = Number((micros - rest) / MICROS_PER_MS);
  return `${new Date(ms).toISOString().slice(0, -1)}${String(rest).padStart(3, "0")}Z`;
}
