/** Figures, their targets, and how both are shown. */
import { cpus } from "node:os";

export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** None: for information only. */
  target?: { least: number } | { most: number };
  /** What the value was made of. */
  detail: string;
}

export interface Machine {
  cores: number;
  processor: string;
  bun: string;
  baseline: string;
  postgres: string;
}

export function describeMachine(baseline: string, postgres: string): Machine {
  const all = cpus();
  return { cores: all.length, processor: all[0]?.model ?? "unknown", bun: Bun.version, baseline, postgres };
}

/** @throws RangeError when there is no value */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/**
 * The median of value by baseline, round for round: what else the machine does changes from round to round.
 *
 * @throws RangeError when there is no value or a baseline is missing
 */
export function medianRatio(values: readonly number[], baselines: readonly number[]): number {
  return median(
    values.map((value, round) => {
      const baseline = baselines[round];
      if (baseline === undefined) throw new RangeError(`round ${round} has no baseline`);
      return value / baseline;
    }),
  );
}

/** The value that a share of all values does not exceed. @throws RangeError when there is no value */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  if (value === undefined) throw new RangeError("no values were measured");
  return value;
}

export function isMet({ value, target }: Figure): boolean {
  if (target === undefined) return true;
  return "least" in target ? value >= target.least : value <= target.most;
}

/** Lines of a table for a terminal. */
export function tableOf(figures: readonly Figure[], machine: Machine): string {
  const rows = figures.map((figure) => {
    const { name, value, unit, target, detail } = figure;
    const targetText = target === undefined ? "" : "least" in target ? `≥ ${target.least}` : `≤ ${target.most}`;
    const verdict = target === undefined ? "" : isMet(figure) ? "ok" : "MISSED";
    return [name, shown(value), targetText, unit, verdict, detail];
  });
  const table = [["figure", "measured", "target", "unit", "", "made of"], ...rows];
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => (column === 1 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
  const { cores, processor, bun, baseline, postgres } = machine;
  return [`${cores} cores, ${processor}; bun ${bun}, PostgreSQL ${postgres}; ${baseline}`, "", ...lines].join("\n");
}

export function jsonOf(figures: readonly Figure[], machine: Machine): string {
  const list = figures.map((figure) => ({ ...figure, ...(figure.target && { met: isMet(figure) }) }));
  return `${JSON.stringify({ machine, figures: list }, null, 2)}\n`;
}

function shown(value: number): string {
  return value < 10 ? value.toFixed(2) : value < 1000 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}
