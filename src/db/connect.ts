import { hostname } from "node:os";
import postgres from "postgres";
import type { Log } from "../log.ts";
import { PoolActivity } from "./activity.ts";
import type { Db } from "./query.ts";
import { formatTimestamp, parseTimestamp } from "./time.ts";

/** Where a database is: a URL, or the directory of a unix socket (the embedded database). */
export type DatabaseAddress = { url: string } | { socketPath: string; database: string; username: string };

/** Longest wait before a lost connection is tried again, in seconds. Requests wait it out, so it is short. */
const RECONNECT_SECS_MAX = 0.5;

/** Tells the operator whose a connection is, and the process which are its own. PostgreSQL keeps 63 bytes. */
const APPLICATION_NAME = `entries-server ${process.pid}@${hostname()}`.slice(0, 63);

/** Of each process, for migrations and jobs. */
export const PATIENT_CONNECTIONS_MAX = 2;
/** Of each process, beside those for requests: the patient ones, and one that listens for notifications. */
export const OTHER_CONNECTIONS = PATIENT_CONNECTIONS_MAX + 1;

export interface PoolSettings {
  databaseConnectionsMax: number;
  databaseIdleTimeoutSecs: number;
  databaseConnectionTimeoutSecs: number;
  databaseLifetimeSecs: number;
}

/** How long the statements of a pool may take, in seconds. What takes longer is refused as a database that is away. */
export interface Patience {
  /** Until a connection takes a statement. */
  waitSecs: number;
  /** How many statements may wait for that at a time. */
  waitingMax: number;
  /** For a lock that somebody else holds. */
  lockSecs: number;
  /** From the connection to the answer, which includes the lock. */
  statementSecs: number;
  /** Without a byte from a database that is asked; then the connection is closed. More than `statementSecs`. */
  silenceSecs: number;
}

/** For requests: together less than the 30 seconds after which a client that gets no answer is cut off. */
export const REQUEST_PATIENCE: Patience = {
  waitSecs: 10,
  waitingMax: 2000,
  lockSecs: 8,
  statementSecs: 12,
  silenceSecs: 14,
};

/**
 * Opens a pool. No connection is made yet. 64-bit integers and times come and go as exact bigints; times are
 * microseconds since the Unix epoch.
 *
 * @param patience by default without end, for what may take long: migrations, jobs, commands
 */
export function connectDatabase(address: DatabaseAddress, settings: PoolSettings, log: Log, patience?: Patience): Db {
  const waitSecs = Math.min(settings.databaseConnectionTimeoutSecs, patience?.waitSecs ?? Number.POSITIVE_INFINITY);
  const options = {
    max: settings.databaseConnectionsMax,
    idle_timeout: settings.databaseIdleTimeoutSecs,
    connect_timeout: waitSecs,
    // Statements that may be under way to the database while another one runs there: about as fast as any number, and
    // no more than these have to wait when a lock is not free.
    max_pipeline: 2,
    answer_timeout: patience?.silenceSecs ?? null,
    max_lifetime: settings.databaseLifetimeSecs,
    backoff: (retries: number) => Math.min(3 ** retries / 100, RECONNECT_SECS_MAX),
    connection: {
      TimeZone: "UTC",
      application_name: APPLICATION_NAME,
      client_min_messages: "warning",
      ...(patience && {
        lock_timeout: patience.lockSecs * 1000,
        statement_timeout: patience.statementSecs * 1000,
        idle_in_transaction_session_timeout: patience.statementSecs * 1000,
      }),
    },
    onnotice: (notice: postgres.Notice) => log.warn("database notice", { code: String(notice.code) }),
    types: {
      bigint: postgres.BigInt,
      date: {
        to: 1114,
        from: [1114, 1184],
        serialize: (value: unknown) => (typeof value === "bigint" ? formatTimestamp(value) : String(value)),
        parse: parseTimestamp,
      },
    },
  };
  const pool =
    "url" in address
      ? postgres(address.url, { ...options, ...partsMisread(address.url) } as typeof options)
      : postgres({
          ...options,
          path: address.socketPath,
          database: address.database,
          username: address.username,
        } as postgres.Options<Record<string, postgres.PostgresType>>);
  return Object.assign(pool as unknown as Omit<Db, "activity">, {
    activity: new PoolActivity(settings.databaseConnectionsMax, patience && { ...patience, waitSecs }),
  }) as Db;
}

/** What postgres.js reads wrongly in a URL: an IPv6 host in brackets, and a percent-encoded database name. */
function partsMisread(url: string): { host?: string[]; port?: number[]; database?: string } {
  const parts = /^\w+:\/\/(?:[^@/]*@)?(?:\[([^\]]*)\](?::(\d+))?)?[^/?]*(?:\/([^?]*))?/.exec(url) ?? [];
  const [, host, port = "5432", database] = parts;
  return {
    ...(host && { host: [host], port: [Number(port)] }),
    ...(database && { database: decodeURIComponent(database) }),
  };
}

/** What postgres.js and PostgreSQL say when the database cannot be used now, or not soon enough. */
const UNAVAILABLE_CODES = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "CONNECT_TIMEOUT",
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOENT",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "53100", // disk_full
  "53200", // out_of_memory
  "53300", // too_many_connections
  "25006", // read_only_sql_transaction: a standby, during a failover
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "25P03", // idle_in_transaction_session_timeout
  "55P03", // lock_not_available
  "57014", // query_canceled: it took too long, or waited too long for a connection
]);

/** True when an error means that the database is away, busy or out of room, as opposed to a statement that it refused. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? String(error.code) : "";
  return UNAVAILABLE_CODES.has(code) || code.startsWith("08");
}

/**
 * Waits until the database answers, as a server started together with its database must (decision P1).
 *
 * @param limitSecs how long to keep trying
 * @throws the last error when it never answered, or at once when it refuses the user, password or database name
 */
export async function waitForDatabase(db: Db, limitSecs: number, log: Log): Promise<void> {
  const deadline = performance.now() + limitSecs * 1000;
  for (let attempt = 1; ; attempt++) {
    try {
      await db`select 1`;
      return;
    } catch (error) {
      if (!isDatabaseUnavailable(error) || performance.now() > deadline) throw error;
      const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown";
      if (attempt === 1) log.warn("waiting for the database", { reason, limit_secs: limitSecs });
      await Bun.sleep(Math.min(100 * attempt, 1000));
    }
  }
}
