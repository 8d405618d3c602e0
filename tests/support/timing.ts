/** Tells whether two kinds of requests can be told apart by how long they take. */

/** Draws of two random halves of the known ones, to see how far medians differ by chance. */
const DRAWS = 400;
/** So many times as far as chance alone goes is told apart. */
const FACTOR = 2;

export interface TimingVerdict {
  /** Milliseconds between the medians of known and unknown. */
  difference: number;
  /** Milliseconds that two halves of the known ones differ by, at the 99th percentile. */
  chance: number;
  canTell: boolean;
}

/**
 * Runs both kinds in turn, in an order that changes each time, so that the machine's moods meet both alike.
 *
 * @param rounds of one request of each kind
 * @param setUp runs before each request and is not measured
 */
export async function compareTimes<Prepared>(
  rounds: number,
  setUp: (kind: "known" | "unknown") => Promise<Prepared>,
  run: (prepared: Prepared) => Promise<unknown>,
): Promise<TimingVerdict> {
  const times = { known: [] as number[], unknown: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const order = Math.random() < 0.5 ? (["known", "unknown"] as const) : (["unknown", "known"] as const);
    for (const kind of order) {
      const prepared = await setUp(kind);
      const startedAt = performance.now();
      await run(prepared);
      times[kind].push(performance.now() - startedAt);
    }
  }
  return judge(times.known, times.unknown);
}

/** @param known and unknown: durations in milliseconds, equally many */
export function judge(known: readonly number[], unknown: readonly number[]): TimingVerdict {
  const byChance = Array.from({ length: DRAWS }, () => {
    const shuffled = known.map((time) => [Math.random(), time] as const).sort(([a], [b]) => a - b);
    const half = Math.floor(shuffled.length / 2);
    const timesOf = (part: typeof shuffled) => part.map(([, time]) => time);
    return Math.abs(median(timesOf(shuffled.slice(0, half))) - median(timesOf(shuffled.slice(half))));
  }).sort((a, b) => a - b);
  const chance = byChance[Math.floor(DRAWS * 0.99)] ?? 0;
  const difference = Math.abs(median(known) - median(unknown));
  return { difference, chance, canTell: difference > FACTOR * chance };
}

function median(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
