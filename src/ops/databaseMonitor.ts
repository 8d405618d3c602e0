import { isDatabaseUnavailable } from "../db/connect.ts";
import { ops as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";

/** How long whoever asks waits for the database at most. */
const LIMIT_MS = 2_000;
/** How long an answer counts as new: probes and scrapes of any number cost the database no more than this. */
const FRESH_MS = 1_000;

export interface DatabaseState {
  /** Of the newest migration. */
  schemaVersion: number;
  /** Of this process. */
  connections: number;
  idleConnections: number;
  jobs: JobRun[];
}

/** The last run of a job, in whichever process. */
export interface JobRun {
  name: string;
  /** Milliseconds since the epoch. */
  beganAt: number;
  /** "none": it ran before results were kept, or its process ended without one. */
  result: "ok" | "failed" | "stopped" | "none";
  /** A run is going on; `result` is of the one before. */
  isRunning: boolean;
  durationMs: number | undefined;
  /** Of all time. */
  failedRuns: number;
}

/** What the database said, or why it said nothing; the problem is for the operator. */
export type DatabaseView = { state: DatabaseState } | { problem: string };

/** Milliseconds; only tests give others. */
export interface MonitorTiming {
  limitMs: number;
  freshMs: number;
}

/** Asks the database how it is, on behalf of everybody who wants to know. */
export class DatabaseMonitor {
  readonly #db: Db;
  readonly #now: () => number;
  readonly #timing: MonitorTiming;
  /** A question that is not answered yet: there is one at a time, however long the database takes. */
  #asking: Promise<DatabaseView> | undefined;
  #latest: { view: DatabaseView; seenAt: number } | undefined;

  /** @param now milliseconds since the epoch */
  constructor(db: Db, now: () => number, timing: MonitorTiming = { limitMs: LIMIT_MS, freshMs: FRESH_MS }) {
    this.#db = db;
    this.#now = now;
    this.#timing = timing;
  }

  /** Answers within the limit, never rejects, and is at most a second old. */
  async look(): Promise<DatabaseView> {
    const { limitMs, freshMs } = this.#timing;
    if (this.#latest && performance.now() - this.#latest.seenAt < freshMs) return this.#latest.view;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    const limit = Promise.withResolvers<DatabaseView>();
    const timer = setTimeout(() => limit.resolve({ problem: "the database does not answer in time" }), limitMs);
    const view = await Promise.race([this.#asking, limit.promise]);
    clearTimeout(timer);
    this.#latest = { view, seenAt: performance.now() };
    return view;
  }

  async #ask(): Promise<DatabaseView> {
    try {
      const now = BigInt(this.#now()) * 1000n;
      const [state, runs] = await Promise.all([
        queries.database_state(this.#db, {}),
        queries.job_runs(this.#db, { now }),
      ]);
      const jobs = runs.map((run) => ({
        name: run.job_name,
        beganAt: Number(run.last_run_timestamp / 1000n),
        result: resultOf(run.last_result),
        isRunning: run.is_running,
        durationMs: run.last_duration_ms === null ? undefined : Number(run.last_duration_ms),
        failedRuns: run.failed_runs,
      }));
      const { schema_version, connections, idle_connections } = state;
      return { state: { schemaVersion: schema_version, connections, idleConnections: idle_connections, jobs } };
    } catch (error) {
      return { problem: isDatabaseUnavailable(error) ? "the database is away" : "the database refuses to answer" };
    }
  }
}

/** @param text as jobs/run.ts writes it: a word, a colon, details */
function resultOf(text: string | null): JobRun["result"] {
  const word = text?.split(":")[0];
  return word === "ok" || word === "failed" || word === "stopped" ? word : "none";
}
