/** The deletion of accounts whose time has come (decisions A12, C1). */
import { accessTokensEnd, forgetSessions } from "../auth/session.ts";
import { isDatabaseUnavailable } from "../db/connect.ts";
import { jobs as queries } from "../db/queries.ts";
import { nowMicros } from "../services.ts";
import { failureCode } from "./failure.ts";
import type { JobServices } from "./jobs.ts";

/** How many accounts are listed at a time. */
const LIST_MAX = 100n;
/** How long an account that could not be deleted waits: twice as long after each failure. */
const FIRST_WAIT_SECS = 5 * 60;
const LONGEST_WAIT_SECS = 24 * 60 * 60;

/** Attempts for a deletion that only was in the way of something else. */
const ATTEMPTS_MAX = 5;
const PAUSE_MS = 100;
/** serialization_failure, deadlock_detected, lock_not_available */
const IN_THE_WAY_CODES = new Set(["40001", "40P01", "55P03"]);

/**
 * Deletes every account whose time has come, the longest due first, one transaction each. An account that cannot be
 * deleted is noted for a later run, and the others go on.
 *
 * @param stop when it is aborted, the account under way is the last one
 * @returns how many accounts were deleted
 * @throws the database's error when it is away
 */
export async function deleteDueAccounts(services: JobServices, stop: AbortSignal): Promise<number> {
  const now = nowMicros(services);
  let deleted = 0;
  while (!stop.aborted) {
    const due = await queries.due_deletions(services.db, { now, accounts_max: LIST_MAX });
    for (const { user_id } of due) {
      if (stop.aborted) break;
      if (await deleteOrNote(services, user_id, now)) deleted++;
    }
    if (due.length < LIST_MAX) break;
  }
  return deleted;
}

/** @returns whether the account was deleted: not when that failed or was cancelled meanwhile */
async function deleteOrNote(services: JobServices, user_id: string, due_until: bigint): Promise<boolean> {
  const { db, log } = services;
  try {
    const revoked_until = accessTokensEnd(services);
    const { revoked_ids } = await patiently(() => queries.delete_account(db, { user_id, due_until, revoked_until }));
    forgetSessions(services, revoked_ids);
    return revoked_ids !== null;
  } catch (error) {
    if (isDatabaseUnavailable(error)) throw error;
    const error_code = failureCode(error);
    const noted = await queries.record_failed_deletion(db, {
      user_id,
      error_code,
      now: nowMicros(services),
      first_wait_secs: FIRST_WAIT_SECS,
      longest_wait_secs: LONGEST_WAIT_SECS,
    });
    log.error("an account could not be deleted", { user_id, code: error_code, failures: noted?.failures });
    return false;
  }
}

/** Tries again what gave up because something else was in the way, a few times within a second or two. */
export async function patiently<Result>(run: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      if (attempt === ATTEMPTS_MAX || !IN_THE_WAY_CODES.has(failureCode(error))) throw error;
      await Bun.sleep(PAUSE_MS * attempt);
    }
  }
}
