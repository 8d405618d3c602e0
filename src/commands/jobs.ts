import type { Config } from "../config.ts";
import type { Db } from "../db/query.ts";
import { failureCode } from "../jobs/failure.ts";
import { JOBS, type Job, type JobServices } from "../jobs/jobs.ts";
import { runNow } from "../jobs/run.ts";
import { type JobStatus, readJobStatuses } from "../jobs/status.ts";
import type { Log } from "../log.ts";
import { UsageError } from "./command.ts";
import { columns, isoTime, jsonText, shownDuration, shownPeriod, shownTime } from "./text.ts";

/** The text of `jobs list`. */
export async function listJobs(config: Config, db: Db, asJson = false): Promise<string> {
  const statuses = await readJobStatuses({ config, db, now: Date.now });
  return asJson ? jsonText(statuses.map(jsonOf)) : tableOf(statuses);
}

function jsonOf({ last_run, last_duration_ms, ...status }: JobStatus) {
  const duration = last_duration_ms === null ? null : Number(last_duration_ms);
  return { ...status, last_run: isoTime(last_run), last_duration_ms: duration };
}

function tableOf(statuses: readonly JobStatus[]): string {
  const rows = statuses.map((status) => [
    status.name,
    status.period_secs === 0 ? "always" : shownPeriod(status.period_secs),
    status.state,
    status.last_run === null ? "never" : shownTime(status.last_run),
    status.last_result ?? "-",
    status.last_duration_ms === null ? "-" : shownDuration(Number(status.last_duration_ms)),
    String(status.failed_runs),
  ]);
  return columns([["JOB", "EVERY", "STATE", "LAST RUN", "RESULT", "TOOK", "FAILED"], ...rows]);
}

/** @throws UsageError that names the jobs when there is none of that name, in whatever case */
export function requireJob(name: string): Job {
  const job = JOBS.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
  if (job) return job;
  const names = JOBS.map((known) => `"${known.name}"`).join(", ");
  throw new UsageError(`there is no job ${JSON.stringify(name)}; the jobs are ${names}`);
}

/**
 * `jobs run`: under the same claim as a server, so that no two processes run a job at once.
 *
 * @param stop when it is aborted, the run ends early
 * @returns how it went
 * @throws Error when it failed, was stopped or another process runs the job
 */
export async function runJob(config: Config, db: Db, log: Log, job: Job, stop: AbortSignal): Promise<string> {
  const startedAt = performance.now();
  const outcome = await runNow(jobServices(config, db, log), job, stop);
  if (outcome === undefined) throw new Error(`Another process is running "${job.name}" now.`);
  if ("error" in outcome) {
    throw new Error(`"${job.name}" failed (${failureCode(outcome.error)}); it is due again at once.`);
  }
  if (outcome.isStopped) {
    throw new Error(`"${job.name}" was stopped after ${outcome.removed} were removed; it is due again at once.`);
  }
  return `${job.name}: ${outcome.removed} removed in ${shownDuration(Math.round(performance.now() - startedAt))}.\n`;
}

/** This process answers no requests, so it need not remember revoked sessions; servers are told by the database. */
function jobServices(config: Config, db: Db, log: Log): JobServices {
  return { config, db, log, revokedSessions: { add: () => {} }, now: Date.now };
}
