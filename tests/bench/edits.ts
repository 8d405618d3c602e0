/** How fast entries are edited, compared with the same statement without a server. */
import type { Db } from "../../src/db/query.ts";
import type { EditRound, EditTally, Target } from "./load.ts";
import type { Pgbench } from "./pgbench.ts";
import { type Figure, median, medianRatio, percentile } from "./report.ts";
import { countChanges } from "./stock.ts";
import type { Worker } from "./worker.ts";

const CLIENT_CONNECTIONS = 64;
/** What the baseline may use. */
const BASELINE_CONNECTIONS = 16;
const ROUNDS = 7;
const ROUND_SECS = 3;
const WARM_UP_SECS = 4;
/** Tokens are signed before a round, for so many times the rate with reused ones. */
const FRESH_TOKENS_FACTOR = 1.2;

export interface EditBench {
  target: Target;
  socketPath: string;
  db: Db;
  load: Worker;
  bare: Worker;
  pgbench: Pgbench | undefined;
}

export async function measureEdits(bench: EditBench): Promise<Figure[]> {
  const baselines: number[] = [];
  const reused: EditTally[] = [];
  const fresh: EditTally[] = [];
  let baselineEdits = 0;
  const runBaseline = async (seconds: number) => {
    const { edits, perSecond } = await baseline(bench, seconds);
    baselineEdits += edits;
    return perSecond;
  };
  const runServer = (tokens: EditRound["tokens"], seconds: number) => runEdits(bench, tokens, seconds);

  const changesBefore = await countChanges(bench.db);
  const warmUp = [await runServer("reused", WARM_UP_SECS)];
  await runBaseline(1);
  for (let round = 0; round < ROUNDS; round++) {
    const withReused = await runServer("reused", ROUND_SECS);
    reused.push(withReused);
    baselines.push(await runBaseline(ROUND_SECS));
    const tokensCount = Math.ceil(withReused.perSecond * ROUND_SECS * FRESH_TOKENS_FACTOR);
    fresh.push(await runServer({ fresh: tokensCount }, ROUND_SECS));
  }
  const tallies = [...warmUp, ...reused, ...fresh];
  requireAllWritten(tallies, baselineEdits, (await countChanges(bench.db)) - changesBefore);

  const figures = [
    figureOf("edits, tokens reused", reused, baselines, 0.6),
    figureOf("edits, fresh container tokens", fresh, baselines, 0.45),
  ];
  const failed = tallies.reduce((sum, tally) => sum + tally.failed, 0);
  return [
    ...figures,
    { name: "edits that were refused", value: failed, unit: "edits", target: { most: 0 }, detail: "" },
  ];
}

/** One round of edits through the server. */
export function runEdits({ load, target }: EditBench, tokens: EditRound["tokens"], seconds: number) {
  return load.run("edit", { ...target, connections: CLIENT_CONNECTIONS, seconds, tokens });
}

/** One round of the same edits without it. */
export async function baseline({ pgbench, bare, socketPath }: EditBench, seconds: number) {
  const round = { socketPath, connections: BASELINE_CONNECTIONS, seconds };
  return pgbench ? pgbench.run(round) : bare.run("replaceEntries", round);
}

export function figureOf(
  name: string,
  tallies: readonly EditTally[],
  baselines: readonly number[],
  least: number,
): Figure {
  const rates = tallies.map(({ perSecond }) => perSecond);
  const latencies = tallies.flatMap(({ latenciesMs }) => latenciesMs);
  const [p50, p99] = [0.5, 0.99].map((share) => percentile(latencies, share).toFixed(1));
  const detail = `${median(rates).toFixed(0)} of ${median(baselines).toFixed(0)} edits/s; p50 ${p50} ms, p99 ${p99} ms`;
  return { name, value: medianRatio(rates, baselines), unit: "of bare", target: { least }, detail };
}

/** Every edit that was acknowledged took a sequence number of its container, and nothing else did. */
export function requireAllWritten(tallies: readonly EditTally[], baselineEdits: number, changes: number): void {
  const acknowledged = tallies.reduce((sum, { succeeded }) => sum + succeeded, baselineEdits);
  if (changes !== acknowledged) throw new Error(`${acknowledged} edits were acknowledged, ${changes} were written`);
}
