/** One process that answers requests: everything that it needs is started here, and stopped in the opposite order. */
import { join } from "node:path";
import { createApp } from "../app.ts";
import type { Config } from "../config.ts";
import { checkQueries } from "../db/check.ts";
import {
  connectDatabase,
  type DatabaseAddress,
  OTHER_CONNECTIONS,
  PATIENT_CONNECTIONS_MAX,
  REQUEST_PATIENCE,
  waitForDatabase,
} from "../db/connect.ts";
import { type EmbeddedPostgres, type SocketAddress, startEmbeddedPostgres } from "../db/embedded.ts";
import { migrate } from "../db/migrate.ts";
import { user as userQueries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { type JobRunner, startJobs } from "../jobs/runner.ts";
import type { Log } from "../log.ts";
import { createMailer } from "../mail/mailer.ts";
import { type CompleteConfig, completeSecrets } from "../secrets.ts";
import { createServices, type Services } from "../services.ts";
import { type GetBodyBridge, openGetBodyBridge } from "./getBodyBridge.ts";
import { type Listener, openListener } from "./listener.ts";

/** How long a stop waits for running requests and the mail queue (decision P11). */
export const DRAIN_LIMIT_MS = 30_000;
/** How long a stop first only tells busy clients, with their answers, that the connection will close. */
const GOODBYE_MS = 100;
/** How long a start waits for an external database. */
const DATABASE_WAIT_SECS = 60;

/** Why a server stops, and the exit status that follows. */
export interface StopReason {
  text: string;
  status: number;
}

/** A server that answers, of one process or of several. */
export interface RunningServer {
  port: number;
  /** Such as https://127.0.0.1:9000. */
  url: string;
  /** See openGetBodyBridge; undefined when it is not asked for. */
  getBodyPort: number | undefined;
  /** For the log. */
  database: string;
  /** Resolves when the server cannot go on. */
  failed: Promise<StopReason>;
  /** Reads the certificate again. */
  reload(): void;
  /** Answers what is under way, sends waiting mail, and closes everything. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** false for one of several processes on a database that leaves the jobs to the others (decision P10). */
  runsJobs: boolean;
  log: Log;
  /** Of a worker: the port is shared with others, and an embedded database runs already. */
  worker?: { number: number; database: SocketAddress | undefined };
}

/** @throws Error whose message is for the operator; nothing is left running */
export async function startServer(config: Config, { runsJobs, log, worker }: ServerOptions): Promise<RunningServer> {
  const { db, patientDb, embedded } = await openPools(config, log, worker?.database);
  let listener: Listener | undefined;
  try {
    await migrate(patientDb, log);
    await checkQueries(patientDb); // on the connection that is open already
    const { has_any: hasAccounts } = await userQueries.has_any(patientDb, {});
    const complete = completeSecrets(config, config.dataDir, hasAccounts);
    const services = await createServices(complete, db, openMailer(complete, log), log);
    if (worker) services.ops.metrics.nameProcess(String(worker.number));
    const app = createApp(services);
    listener = openListener(app, config, worker !== undefined, log);
    complete.publicUrl = withPort(complete.publicUrl, listener.port);
    const bridge = await openBridge(services, config);
    const jobs = runsJobs ? startJobs(app, { ...services, db: patientDb }) : undefined;
    const parts = { services, patientDb, embedded, listener, bridge, jobs };
    return {
      port: listener.port,
      url: listener.url,
      getBodyPort: bridge?.port,
      database: embedded ? `embedded PostgreSQL ${embedded.version} in ${config.dataDir}` : "external",
      failed: failureOf(embedded),
      reload: listener.reload,
      stop: () => drain(parts),
    };
  } catch (error) {
    listener?.stop();
    await Promise.all([db, patientDb].map((pool) => pool.end({ timeout: 1 }).catch(() => {})));
    await embedded?.stop();
    throw error;
  }
}

interface Parts {
  services: Services;
  patientDb: Db;
  embedded: EmbeddedPostgres | undefined;
  listener: Listener;
  bridge: GetBodyBridge | undefined;
  jobs: JobRunner | undefined;
}

async function drain({ services, patientDb, embedded, listener, bridge, jobs }: Parts): Promise<void> {
  const { mailer, log, db } = services;
  const deadline = performance.now() + DRAIN_LIMIT_MS;
  services.lifecycle.isStopping = true;
  const jobsStopped = jobs?.stop(DRAIN_LIMIT_MS);
  await Bun.sleep(GOODBYE_MS);
  await services.liveChanges.stop().catch(() => {}); // streams would not end by themselves
  await Promise.race([Promise.all([listener.stop(), bridge?.stop()]), Bun.sleep(DRAIN_LIMIT_MS)]);
  const left = await mailer.drain(Math.max(0, deadline - performance.now()));
  if (left > 0) log.error("mails could not be sent before the stop", { count: left });
  await mailer.close();
  await jobsStopped;
  await services.revokedSessions.stop().catch(() => {});
  await Promise.all([db.end({ timeout: 5 }), patientDb.end({ timeout: 5 })]);
  await embedded?.stop();
}

interface Pools {
  /** For requests. */
  db: Db;
  /** For migrations and jobs, whose statements may take as long as they like. */
  patientDb: Db;
  embedded?: EmbeddedPostgres;
}

/** What the embedded PostgreSQL allows by itself, and what must be left for commands. */
const EMBEDDED_CONNECTIONS = { usual: 100, spare: 10 };

/**
 * Opens the pools, on an external database or on the embedded one, which is started first (decision P1).
 *
 * @param running the embedded database when another process has started it
 */
export async function openPools(config: Config, log: Log, running?: SocketAddress): Promise<Pools> {
  const connect = (address: DatabaseAddress) => ({
    db: connectDatabase(address, config, log, REQUEST_PATIENCE),
    patientDb: connectDatabase(address, { ...config, databaseConnectionsMax: PATIENT_CONNECTIONS_MAX }, log),
  });
  if (config.database.kind === "external") {
    const pools = connect(config.database);
    await waitForDatabase(pools.patientDb, DATABASE_WAIT_SECS, log);
    return pools;
  }
  if (running) return connect(running);
  const embedded = await startOwnDatabase(config, 1, config.databaseConnectionsMax, log);
  return { ...connect(embedded.connection), embedded };
}

/**
 * Starts the embedded PostgreSQL with room for the connections of a server.
 *
 * @param connectionsMax for requests, of each process
 * @throws EmbeddedPostgresError as startEmbeddedPostgres
 */
export function startOwnDatabase(
  { dataDir }: Config,
  processes: number,
  connectionsMax: number,
  log: Log,
): Promise<EmbeddedPostgres> {
  const { usual, spare } = EMBEDDED_CONNECTIONS;
  const needed = processes * (connectionsMax + OTHER_CONNECTIONS) + spare;
  const settings: Record<string, string> = needed > usual ? { max_connections: String(needed) } : {};
  return startEmbeddedPostgres({ dataDir, log, settings });
}

/** Where mails go when there is no relay. */
export function outboxDirOf({ dataDir }: Config): string {
  return join(dataDir, "outbox");
}

function openMailer(config: CompleteConfig, log: Log) {
  const target = config.smtp ? { smtp: config.smtp } : { outboxDir: outboxDirOf(config) };
  return createMailer({ from: config.emailFrom, replyTo: config.emailReplyTo, ...target }, log);
}

async function openBridge(
  services: Services,
  { getBodyPort, bindAddress }: Config,
): Promise<GetBodyBridge | undefined> {
  if (getBodyPort === undefined) return undefined;
  try {
    return await openGetBodyBridge(services, { host: bindAddress, port: getBodyPort });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot listen on ENTRIES_GET_BODY_PORT, ${getBodyPort}: ${reason}`);
  }
}

/** The default address of a server on a free port is known only now. */
function withPort(publicUrl: string, port: number): string {
  return publicUrl.replace(/^(https?:\/\/127\.0\.0\.1):0$/, `$1:${port}`);
}

function failureOf(embedded: EmbeddedPostgres | undefined): Promise<StopReason> {
  if (!embedded) return new Promise(() => {});
  return embedded.exited.then(({ message }) => ({ text: message, status: 1 }));
}
