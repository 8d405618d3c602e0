import { version } from "../../package.json";
import { MIGRATIONS } from "../db/migrate.ts";
import type { Services } from "../services.ts";
import type { JobRun } from "./databaseMonitor.ts";

const NEWEST_MIGRATION = MIGRATIONS.at(-1)?.version ?? 0;

/**
 * Why this process should get no requests, for the operator; undefined when it should. A database that a newer server
 * has migrated is no reason: otherwise every process would be out of service as soon as the first one is replaced.
 */
export async function reasonNotReady({
  ops,
  lifecycle,
}: Pick<Services, "ops" | "lifecycle">): Promise<string | undefined> {
  if (lifecycle.isStopping) return "the server is stopping";
  const view = await ops.database.look();
  if ("problem" in view) return view.problem;
  if (view.state.schemaVersion < NEWEST_MIGRATION) return "the database's schema is not up to date";
  return undefined;
}

/** The body of `GET /api/health`. The first member is the reference's; it is zeros while the database is away. */
export interface Health {
  db_async_pool_state: { connections: number; idle_connections: number };
  database: { reachable: boolean; problem?: string; schema_version?: number };
  jobs: JobHealth[];
  version: string;
  uptime_secs: number;
}

interface JobHealth {
  name: string;
  /** Milliseconds since the epoch. */
  last_run_timestamp_ms: number;
  last_result: JobRun["result"];
  last_duration_ms?: number;
  failed_runs: number;
  is_running: boolean;
}

/** @returns what an operator wants to know at a glance; `database.reachable` says whether all is well */
export async function healthOf({ ops }: Pick<Services, "ops">): Promise<Health> {
  const view = await ops.database.look();
  const common = { version, uptime_secs: Math.floor(process.uptime()) };
  if ("problem" in view) {
    return {
      db_async_pool_state: { connections: 0, idle_connections: 0 },
      database: { reachable: false, problem: view.problem },
      jobs: [],
      ...common,
    };
  }
  const { connections, idleConnections, schemaVersion, jobs } = view.state;
  return {
    db_async_pool_state: { connections, idle_connections: idleConnections },
    database: { reachable: true, schema_version: schemaVersion },
    jobs: jobs.map(jobHealth),
    ...common,
  };
}

function jobHealth({ name, beganAt, result, durationMs, failedRuns, isRunning }: JobRun): JobHealth {
  return {
    name,
    last_run_timestamp_ms: beganAt,
    last_result: result,
    ...(durationMs !== undefined && { last_duration_ms: durationMs }),
    failed_runs: failedRuns,
    is_running: isRunning,
  };
}
