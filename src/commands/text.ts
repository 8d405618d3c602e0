/** How commands show things to people. */

/** Rows as aligned columns, each line ending with "\n". Control characters, with which a terminal does things, are replaced. */
export function columns(unsafeRows: readonly (readonly string[])[], indent = ""): string {
  const rows = unsafeRows.map((row) => row.map((cell) => cell.replace(/\p{Cc}/gu, "\u{fffd}")));
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => `${indent}${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd())
    .map((line) => `${line}\n`)
    .join("");
}

/** @param micros since the epoch; null is shown as a dash */
export function shownTime(micros: bigint | null): string {
  return micros === null ? "-" : `${isoTime(micros).slice(0, 16).replace("T", " ")} UTC`;
}

/** @param micros since the epoch */
export function isoTime(micros: bigint): string;
export function isoTime(micros: bigint | null): string | null;
export function isoTime(micros: bigint | null): string | null {
  return micros === null ? null : new Date(Number(micros / 1000n)).toISOString();
}

export function shownDuration(ms: number): string {
  return ms < 10_000 ? `${ms} ms` : `${Math.round(ms / 1000)} s`;
}

/** A whole number of the largest unit that fits. */
export function shownPeriod(secs: number): string {
  const units = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
  ] as const;
  const [size, unit] = units.find(([unitSecs]) => secs > 0 && secs % unitSecs === 0) ?? [1, "s"];
  return `${secs / size} ${unit}`;
}

export function shownBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const step = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${step === 0 ? bytes : (bytes / 1024 ** step).toFixed(1)} ${units[step]}`;
}

/** "1 session", "2 sessions". */
export function counted(count: number | bigint, noun: string): string {
  return `${count} ${noun}${BigInt(count) === 1n ? "" : "s"}`;
}

/** JSON for scripts, ending with "\n". */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
