/**
 * PostgreSQL's text form of a timestamp to microseconds since the Unix epoch and back, exactly.
 * postgres.js itself would go through Date: local time, milliseconds.
 */

const MICROS_PER_MS = 1000n;

/**
 * Reads `2026-01-31 08:15:00.123456`, as PostgreSQL writes a `timestamp` (or, with `+00` behind it, a `timestamptz` in
 * a session whose time zone is UTC).
 */
export function parseTimestamp(text: string): bigint {
  const match = /^(\d{4,6})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:\+00)?$/.exec(text);
  if (!match) throw new RangeError(`the database holds a time outside the supported range: ${text}`);
  const [, year, month, day, hour, minute, second, fraction = ""] = match;
  const ms = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  return BigInt(ms) * MICROS_PER_MS + BigInt(fraction.padEnd(6, "0"));
}

/** Writes microseconds since the epoch as PostgreSQL reads them, for example `2026-01-31T08:15:00.123456Z`. */
export function formatTimestamp(micros: bigint): string {
  const rest = ((micros % MICROS_PER_MS) + MICROS_PER_MS) % MICROS_PER_MS;
  const ms = Number((micros - rest) / MICROS_PER_MS);
  return `${new Date(ms).toISOString().slice(0, -1)}${String(rest).padStart(3, "0")}Z`;
}
