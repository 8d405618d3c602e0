/** Timestamps are microseconds since the Unix epoch, as bigint, within the years 1970 to 9999 (W17). */
const MICROS_PER_SECOND = 1_000_000n;
const MICROS_PER_MILLI = 1_000n;
/** 9999-12-31T23:59:59Z */
export const MAX_SECONDS = 253_402_300_799;
export const MAX_MICROS = BigInt(MAX_SECONDS) * MICROS_PER_SECOND + 999_999n;

/** RFC 3339 in UTC with at most nanoseconds; whether the date exists is checked after. */
export const RFC3339_UTC = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:Z|\+00:00)$/;

/** @returns whole seconds and the nanoseconds that remain. @throws RangeError outside the years 1970 to 9999 */
export function splitMicros(micros: bigint): { seconds: number; nanos: number } {
  checkMicros(micros);
  const number = Number(micros);
  // Exact until the year 2255, and several times as fast as with bigints.
  if (number <= Number.MAX_SAFE_INTEGER) {
    const seconds = Math.floor(number / 1_000_000);
    return { seconds, nanos: (number - seconds * 1_000_000) * 1_000 };
  }
  return {
    seconds: Number(micros / MICROS_PER_SECOND),
    nanos: Number(micros % MICROS_PER_SECOND) * 1_000,
  };
}

/** @param nanos below a second; digits past microseconds are cut */
export function joinMicros(seconds: number, nanos: number): bigint {
  return BigInt(seconds) * MICROS_PER_SECOND + BigInt(Math.trunc(nanos / 1_000));
}

/** RFC 3339 with microseconds, `2026-01-31T08:15:00.123456Z`. @throws RangeError outside the years 1970 to 9999 */
export function formatMicros(micros: bigint): string {
  checkMicros(micros);
  const withMillis = new Date(Number(micros / MICROS_PER_MILLI)).toISOString().slice(0, -1);
  return `${withMillis}${String(micros % MICROS_PER_MILLI).padStart(3, "0")}Z`;
}

/** @returns undefined when the text is no RFC 3339 time in UTC, no date of the calendar, or before 1970 */
export function parseMicros(text: string): bigint | undefined {
  const [, wholeSeconds, fraction = ""] = RFC3339_UTC.exec(text) ?? [];
  if (wholeSeconds === undefined) return undefined;
  const millis = Date.parse(`${wholeSeconds}Z`);
  // Date takes 30 February for 2 March and 24:00 for the next day; printing it back shows that it moved.
  if (!(millis >= 0) || new Date(millis).toISOString().slice(0, 19) !== wholeSeconds) return undefined;
  return BigInt(millis) * MICROS_PER_MILLI + BigInt(fraction.slice(0, 6).padEnd(6, "0"));
}

function checkMicros(micros: bigint): void {
  if (micros < 0n || micros > MAX_MICROS) throw new RangeError("a timestamp lies outside the years 1970 to 9999");
}
