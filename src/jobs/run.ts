/**
 * One run of one job. The table job_registry decides which process runs a job and when, so that any number of servers may
 * work on one database: a run is claimed by one atomic statement, and a claim that is not renewed expires.
 */
import type { Config } from "../config.ts";
import { jobs as queries } from "../db/queries.ts";
import type { Log } from "../log.ts";
import { nowMicros } from "../services.ts";
import { failureCode, failureStack } from "./failure.ts";
import type { Job, JobServices } from "./jobs.ts";

/** How long a claim lasts unless it is renewed. Clocks of servers that share a database must not differ by as much. */
const CLAIM_MS = 5 * 60_000;
/** How often a claim is renewed before it would expire. */
const RENEWALS_PER_CLAIM = 5;
/** Looks are not exact to the millisecond. A run may begin so much early, rather than at the look after, a minute late. */
const EARLY_MICROS = 500_000n;
const MICROS_PER_SEC = 1_000_000n;

/**
 * Runs a job if it is due and no other process runs it, and notes in the registry how that went. Failures are logged and
 * noted, never thrown: the job is due again at the next look.
 *
 * @param stop once it is aborted no run begins, and one under way ends early and stays due
 * @param claimMs only tests give another time
 * @returns whether this process ran it
 */
export async function runIfDue(
  services: JobServices,
  job: Job,
  stop: AbortSignal,
  claimMs: number = CLAIM_MS,
): Promise<boolean> {
  if (stop.aborted) return false;
  try {
    const now = nowMicros(services);
    const outcome = await claimAndRun(services, job, stop, { ...dueRange(services.config, job, now), now, claimMs });
    return outcome !== undefined;
  } catch (error) {
    // The registry is out of reach. A claim that could not be given back expires, and then the job is due.
    const fields = { job: job.name, code: failureCode(error), stack: failureStack(error) };
    services.log.error("a job could not be looked at", fields);
    return false;
  }
}

/**
 * Runs a job whether it is due or not, unless another process runs it, and notes in the registry how that went.
 *
 * @param stop when it is aborted, the run ends early and stays due
 * @returns undefined when another process runs the job
 * @throws the database's error when the registry is out of reach
 */
export async function runNow(services: JobServices, job: Job, stop: AbortSignal): Promise<Outcome | undefined> {
  const now = nowMicros(services);
  return claimAndRun(services, job, stop, { due_floor: now, due_ceiling: now, now, claimMs: CLAIM_MS });
}

/** A job is due when its last run began at the floor or before, or (the clock was set back) after the ceiling. */
export interface DueRange {
  due_floor: bigint;
  due_ceiling: bigint;
}

/** @param now all times are microseconds since the epoch */
export function dueRange(config: Config, job: Job, now: bigint): DueRange {
  const period = BigInt(job.periodSecs(config)) * MICROS_PER_SEC;
  return { due_floor: now - period + EARLY_MICROS, due_ceiling: now + period };
}

async function claimAndRun(
  services: JobServices,
  job: Job,
  stop: AbortSignal,
  { now, claimMs, due_floor, due_ceiling }: DueRange & { now: bigint; claimMs: number },
): Promise<Outcome | undefined> {
  const claimed = await queries.claim_run(services.db, {
    job_name: job.name,
    began_at: now,
    claimed_until: claimEnd(services, claimMs),
    due_floor,
    due_ceiling,
  });
  return claimed === 0 ? undefined : runClaimed(services, job, stop, { began_at: now, claimMs });
}

/** `began_at` names the claim: nobody else can have begun a run of the job then. */
interface Claim {
  began_at: bigint;
  claimMs: number;
}

async function runClaimed(services: JobServices, job: Job, stop: AbortSignal, claim: Claim): Promise<Outcome> {
  const startedAt = performance.now();
  const renewal = keepClaim(services, job, claim);
  let outcome: Outcome;
  try {
    const removed = await job.run(services, stop);
    outcome = { removed, isStopped: stop.aborted };
  } catch (error) {
    outcome = { error };
  }
  clearInterval(renewal);

  const duration_ms = Math.round(performance.now() - startedAt);
  logOutcome(services.log, job, outcome, duration_ms);
  await queries.end_run(services.db, {
    job_name: job.name,
    began_at: claim.began_at,
    result: resultText(outcome),
    duration_ms: BigInt(duration_ms),
    has_failed: "error" in outcome,
  });
  return outcome;
}

/** How a run ended. `isStopped`: before it was through. */
export type Outcome = { removed: number; isStopped: boolean } | { error: unknown };

function logOutcome(log: Log, job: Job, outcome: Outcome, duration_ms: number): void {
  if ("error" in outcome) {
    const { error } = outcome;
    log.error("job failed", { job: job.name, code: failureCode(error), duration_ms, stack: failureStack(error) });
  } else {
    log.info("job done", { job: job.name, removed: outcome.removed, duration_ms, stopped: outcome.isStopped });
  }
}

/** What claim_run.sql reads: a job is due again at once unless the text begins with "ok:". */
function resultText(outcome: Outcome): string {
  if ("error" in outcome) return `failed: ${failureCode(outcome.error)}`;
  return `${outcome.isStopped ? "stopped" : "ok"}: ${outcome.removed} removed`;
}

function keepClaim(services: JobServices, job: Job, { began_at, claimMs }: Claim) {
  const renew = () => {
    const claimed_until = claimEnd(services, claimMs);
    // If the database is away, the next renewal may succeed; else the claim expires.
    queries.renew_claim(services.db, { job_name: job.name, began_at, claimed_until }).catch(() => {});
  };
  return setInterval(renew, claimMs / RENEWALS_PER_CLAIM).unref();
}

function claimEnd(services: JobServices, claimMs: number): bigint {
  return nowMicros(services) + BigInt(claimMs) * 1000n;
}
