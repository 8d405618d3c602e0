/**
 * Variables of the reference server that this one does not read. They are accepted, so that an operator's environment
 * file keeps working, and named in one log line.
 */

/** Nothing here corresponds to them. */
const MEANINGLESS = [
  "ENTRIES_ACTIX_WORKER_COUNT",
  // The runtime's Argon2 fixes the output, the lanes and the salt.
  "ENTRIES_AUTH_STRING_HASH_LENGTH",
  "ENTRIES_AUTH_STRING_HASH_SALT_LENGTH",
  "ENTRIES_AUTH_STRING_HASH_THREADS",
  // Counters are of bounded size and never cleared as a whole.
  "ENTRIES_LIMITER_CLEAR_FREQUENCY_HOURS",
  "ENTRIES_SIGNIN_LIMITER_FREQUENCY_HOURS",
  // The job scheduler is no process of its own any more.
  "ENTRIES_JOB_RUNNER_MAX_BLOCKING_THREADS",
  "ENTRIES_JOB_RUNNER_UPDATE_FREQUENCY_MS",
  "ENTRIES_JOB_RUNNER_UPDATE_FREQUENCY_SECS",
  "ENTRIES_JOB_RUNNER_WORKER_THREADS",
] as const;

export const IGNORED: ReadonlySet<string> = new Set<string>(MEANINGLESS);
