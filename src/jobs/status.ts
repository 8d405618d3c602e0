/** How the jobs are doing, for operators. */
import { jobs as queries } from "../db/queries.ts";
import { nowMicros } from "../services.ts";
import { JOBS, type Job, type JobServices } from "./jobs.ts";
import { dueRange } from "./run.ts";

/** Times are microseconds since the epoch. Null: it never ran, or the reference ran it and noted no more. */
export interface JobStatus {
  name: string;
  period_secs: number;
  /** `running` by some process, `due` at the next look, or `waiting`. */
  state: "running" | "due" | "waiting";
  /** When the last run, or the one under way, began. */
  last_run: bigint | null;
  /** Of the last run that ended. */
  last_result: string | null;
  last_duration_ms: bigint | null;
  failed_runs: number;
}

export type RegistryRow = Awaited<ReturnType<typeof queries.registry>>[number];

/** The state of every job of this program, in one statement. */
export async function readJobStatuses(services: Pick<JobServices, "config" | "db" | "now">): Promise<JobStatus[]> {
  const rows = new Map((await queries.registry(services.db, {})).map((row) => [row.job_name, row]));
  return JOBS.map((job) => {
    const row = rows.get(job.name);
    return {
      name: job.name,
      period_secs: job.periodSecs(services.config),
      state: stateOf(services, job, row),
      last_run: row?.last_run_timestamp ?? null,
      last_result: row?.last_result ?? null,
      last_duration_ms: row?.last_duration_ms ?? null,
      failed_runs: row?.failed_runs ?? 0,
    };
  });
}

/** What claim_run.sql would say now. */
export function stateOf(
  services: Pick<JobServices, "config" | "now">,
  job: Job,
  row: RegistryRow | undefined,
): JobStatus["state"] {
  if (!row) return "due";
  const now = nowMicros(services);
  const { claimed_until, last_run_timestamp, last_result } = row;
  if (claimed_until !== null && claimed_until > now) return "running";
  const { due_floor, due_ceiling } = dueRange(services.config, job, now);
  const isPeriodOver = last_run_timestamp <= due_floor || last_run_timestamp > due_ceiling;
  const isUnfinished = claimed_until !== null || (last_result !== null && !last_result.startsWith("ok:"));
  return isPeriodOver || isUnfinished ? "due" : "waiting";
}
