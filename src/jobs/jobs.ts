/**
 * The jobs: what is removed when its time is over. Each may run while another process runs it too, and removes in small
 * steps, so that nobody waits for it long.
 */
import type { Config } from "../config.ts";
import { jobs as queries, sync as syncQueries } from "../db/queries.ts";
import { CREATION_BUCKET_MICROS, creationBucket } from "../invitation/creationBucket.ts";
import { nowMicros, type Services } from "../services.ts";
import { deleteDueAccounts } from "./deleteAccounts.ts";

/** What a job may use: it answers no request and sends no mail, so that a command can run it too. */
export type JobServices = Pick<Services, "config" | "db" | "log" | "now"> & {
  revokedSessions: Pick<Services["revokedSessions"], "add">;
};

export interface Job {
  /** Its key in the table job_registry, where the reference has one the reference's. */
  name: string;
  /** Seconds from the beginning of a run to the next one; 0: whenever jobs are looked at. */
  periodSecs: (config: Config) => number;
  /**
   * @param stop when it is aborted, the run ends after the step under way
   * @returns how many rows were removed; of accounts, how many accounts
   */
  run(services: JobServices, stop: AbortSignal): Promise<number>;
}

/** What one statement removes at most, in rows. */
const BATCH_ROWS = 1000n;
/** A container goes with all its rows, so that few are many. */
const BATCH_CONTAINERS = 20n;
const MICROS_PER_MIN = 60_000_000n;
const MICROS_PER_DAY = 86_400_000_000n;
/** How far the clocks of two processes may differ: a token that expired here may be good there for so long. */
const CLOCK_SLACK_MICROS = 120_000_000n;

/** Every job. */
export const JOBS: readonly Job[] = [
  {
    name: "Clear Expired Container Invites",
    periodSecs: ({ jobs }) => jobs.clearExpiredContainerInvitesSecs,
    async run(services, stop) {
      const { db, config } = services;
      const now = nowMicros(services);
      const bucket_floor = oldestBucketKept(config, now);
      return (
        (await inBatches(stop, (rows_max) => queries.clear_accept_keys(db, { now, rows_max }))) +
        (await inBatches(stop, (rows_max) => queries.clear_invitations(db, { bucket_floor, rows_max })))
      );
    },
  },
  {
    name: "Clear Expired Otps",
    periodSecs: ({ jobs }) => jobs.clearExpiredOtpsSecs,
    async run(services, stop) {
      const { db, config } = services;
      const now = nowMicros(services);
      const period_floor = now - BigInt(config.otpSendPeriodMins) * MICROS_PER_MIN;
      return (
        (await inBatches(stop, (rows_max) => queries.clear_otps(db, { now, period_floor, rows_max }))) +
        (await inBatches(stop, (rows_max) => queries.clear_signin_challenges(db, { now, rows_max }))) +
        (await inBatches(stop, (rows_max) => queries.clear_passkey_challenges(db, { now, rows_max })))
      );
    },
  },
  {
    name: "Clear Old User Deletion Requests",
    periodSecs: ({ jobs }) => jobs.clearOldUserDeletionRequestsSecs,
    async run(services, stop) {
      const now = nowMicros(services);
      return inBatches(stop, (rows_max) => queries.clear_listed_keys(services.db, { now, rows_max }));
    },
  },
  {
    name: "Clear Unverified Users",
    periodSecs: ({ jobs }) => jobs.clearUnverifiedUsersSecs,
    async run(services, stop) {
      const now = nowMicros(services);
      return inBatches(stop, (rows_max) => queries.clear_unverified_users(services.db, { now, rows_max }));
    },
  },
  { name: "Delete Users", periodSecs: ({ jobs }) => jobs.deleteUsersSecs, run: deleteDueAccounts },
  {
    name: "Unblacklist Expired Tokens",
    periodSecs: ({ jobs }) => jobs.unblacklistExpiredTokensSecs,
    async run(services, stop) {
      const expired_before = nowMicros(services) - CLOCK_SLACK_MICROS;
      return inBatches(stop, (rows_max) => queries.clear_blacklisted_tokens(services.db, { expired_before, rows_max }));
    },
  },
  {
    name: "Clear Expired Sessions",
    periodSecs: ({ jobs }) => jobs.clearExpiredSessionsSecs,
    async run(services, stop) {
      const { db } = services;
      const now = nowMicros(services);
      const expired_before = now - CLOCK_SLACK_MICROS;
      return (
        (await inBatches(stop, (rows_max) => queries.clear_sessions(db, { now, rows_max }))) +
        (await inBatches(stop, (rows_max) => queries.clear_revoked_sessions(db, { expired_before, rows_max })))
      );
    },
  },
  {
    name: "Purge Tombstones",
    periodSecs: ({ jobs }) => jobs.purgeTombstonesSecs,
    async run(services, stop) {
      const { db, config } = services;
      const deleted_before = nowMicros(services) - BigInt(config.tombstoneAgeMaxDays) * MICROS_PER_DAY;
      return (
        (await inBatches(stop, async (rows_max) => {
          return (await syncQueries.purge_entries(db, { deleted_before, rows_max })).removed;
        })) +
        (await inBatches(stop, async (rows_max) => {
          return (await syncQueries.purge_categories(db, { deleted_before, rows_max })).removed;
        }))
      );
    },
  },
  {
    name: "Delete Idle Containers",
    periodSecs: ({ jobs }) => jobs.deleteIdleContainersSecs,
    async run(services, stop) {
      const { db, config } = services;
      if (config.idleContainerAgeMaxDays === 0) return 0;
      const changed_before = nowMicros(services) - BigInt(config.idleContainerAgeMaxDays) * MICROS_PER_DAY;
      return inBatches(
        stop,
        (containers_max) => syncQueries.delete_idle_containers(db, { changed_before, containers_max }),
        BATCH_CONTAINERS,
      );
    },
  },
];

/**
 * An invitation tells only in which bucket it was made. Those before this one are all older than a bucket is long
 * (containers.md 5.6), and than an invitation may be good for (decision C2).
 *
 * @param now microseconds since the epoch
 */
function oldestBucketKept({ invitationLifetimeMaxDays }: Config, now: bigint): number {
  const lifetimeMax = BigInt(invitationLifetimeMaxDays) * MICROS_PER_DAY;
  const age = lifetimeMax > CREATION_BUCKET_MICROS ? lifetimeMax : CREATION_BUCKET_MICROS;
  return creationBucket(now - age);
}

/** Repeats a statement until it finds less than it may remove. Rows that somebody else holds are left for the next run. */
async function inBatches(
  stop: AbortSignal,
  removeBatch: (rows_max: bigint) => Promise<number>,
  rowsMax: bigint = BATCH_ROWS,
): Promise<number> {
  let removed = 0;
  while (!stop.aborted) {
    const batch = await removeBatch(rowsMax);
    removed += batch;
    if (batch < rowsMax) break;
  }
  return removed;
}
