import { mkdtempSync, readdirSync, realpathSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import postgres from "postgres";
import type { Log } from "../log.ts";
import {
  createDataDirectory,
  DataDirectoryInUse,
  EmbeddedPostgresError,
  findPostmaster,
  inspectCluster,
  lockDataDirectory,
  messageOf,
  readPostmasterSocket,
  removeIfPossible,
  removeStalePidFile,
  syncDirectory,
} from "./dataDirectory.ts";
import { syncFileSystem } from "./libc.ts";
import { POSTGRES_MAJOR, unpackPostgres } from "./postgresPack.ts";
import { type Postmaster, PostmasterFailed, runGuarded, signalProcess, startPostmaster } from "./postgresProcess.ts";
import {
  choosePostgresUser,
  createRuntimeDirectory,
  giveTo,
  type PostgresUser,
  reachPrefix,
  recreateRuntimeDirectory,
} from "./postgresUser.ts";
import { supervisePostmaster } from "./supervisedPostmaster.ts";

export { DataDirectoryInUse, EmbeddedPostgresError } from "./dataDirectory.ts";

/**
 * The PostgreSQL that this server brings along and runs as its child. In `<data-dir>` it owns:
 *
 *     server.lock   held while a server runs, see lockDataDirectory
 *     postgres/     the unpacked programs (unless `unpackRoot` says otherwise)
 *     database/     the cluster; while it is made for the first time: database.new-…
 */
export interface EmbeddedOptions {
  /** Made if missing. */
  dataDir: string;
  log: Log;
  /** false, for tests: a power cut may lose everything, in return writing is fast. */
  durable?: boolean;
  /** Where the programs are unpacked to, for example a cache that several data directories share. */
  unpackRoot?: string;
  /** Further PostgreSQL settings. They win over postgresql.conf, which wins over our defaults (CLUSTER_DEFAULTS). */
  settings?: Record<string, string>;
}

/** A connection over the unix socket; there is no other way in, and no password: the socket's directory is private. */
export interface SocketAddress {
  socketPath: string;
  username: string;
  database: string;
}

export interface EmbeddedPostgres {
  /** The server's own database, as its owner, who is no superuser. */
  connection: SocketAddress;
  /** For what the owner may not do, such as creating databases in tests. */
  superuserConnection: SocketAddress;
  /** For example "18.4". */
  version: string;
  /**
   * Resolves when PostgreSQL has ended for good, with why; never rejects. `expected` after `stop()`. When it ends by
   * itself it is started again, unless that happens too often.
   */
  exited: Promise<{ expected: boolean; message: string }>;
  /** Ends all sessions, shuts PostgreSQL down cleanly and frees the data directory. May be called again. */
  stop(): Promise<void>;
}

/** Written to postgresql.conf when the cluster is made, where an operator can change them. */
const CLUSTER_DEFAULTS: Record<string, string> = {
  max_connections: "100",
  shared_buffers: "64MB",
  io_method: "sync", // no helper processes
  jit: "off",
  max_logical_replication_workers: "0",
};

/** Stands in the command line of our PostgreSQL, and so tells it from one that somebody started by hand. */
const CLUSTER_NAME = "entries-server";

/** The server's database and its owner. */
const OWN_DATABASE = { username: "entries", database: "entries" };

/** What must hold at every start, whatever postgresql.conf says. */
const FIXED_SETTINGS: Record<string, string> = {
  cluster_name: CLUSTER_NAME,
  listen_addresses: "",
  unix_socket_permissions: "0700",
  // Messages come to us over stderr, and never with statements, parameters or values from rows.
  logging_collector: "off",
  log_destination: "stderr",
  log_line_prefix: "",
  lc_messages: "C",
  log_min_messages: "warning",
  log_error_verbosity: "terse",
  log_min_error_statement: "panic",
  log_statement: "none",
  log_duration: "off",
  log_min_duration_statement: "-1",
  log_min_duration_sample: "-1",
  log_transaction_sample_rate: "0",
  log_parameter_max_length: "0",
  log_parameter_max_length_on_error: "0",
  log_checkpoints: "off",
};

const NOT_DURABLE: Record<string, string> = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" };

/** How long a start waits for the database of a server that was just killed. */
const PREVIOUS_LIMIT_MS = 5_000;

/**
 * Starts the embedded PostgreSQL. The very first start unpacks it and makes the cluster (below 2 seconds), later ones
 * take below 100 ms. It ends with this process, even by kill -9.
 *
 * @throws DataDirectoryInUse when another server runs on the data directory; nothing was touched
 * @throws EmbeddedPostgresError saying what is wrong and what to do
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { log, durable = true } = options;
  if (process.platform !== "linux") {
    throw new EmbeddedPostgresError(
      "The embedded PostgreSQL runs on Linux only. Set ENTRIES_DATABASE_URL to a PostgreSQL server.",
    );
  }
  const dataDir = createDataDirectory(options.dataDir);
  const lock = lockDataDirectory(dataDir);
  try {
    const owner = inspectCluster(dataDir, POSTGRES_MAJOR);
    const unpackRoot = options.unpackRoot ?? join(dataDir, "postgres");
    const programDir = await unpackPostgres(unpackRoot, durable);
    if (options.unpackRoot === undefined) removeAllBut(programDir, unpackRoot, ["postgres-", "unpacking-"]);
    removeAllBut(undefined, dataDir, ["database.new-"]);

    const user = choosePostgresUser(owner);
    const ownName = join(dataDir, "database");
    const cluster = owner === undefined ? ownName : realpathSync(ownName); // it may be a link to another disk
    const prefix = reachPrefix(user, [dirname(cluster), programDir]);
    const place = { programDir, cluster, user, prefix, dataDir };
    if (owner === undefined) await createCluster(place, durable);
    else if (owner.uid === 0) giveTo(user, cluster);
    const settings = { ...FIXED_SETTINGS, ...(durable ? {} : NOT_DURABLE), ...options.settings };
    const { postmaster: first, runtimeDir } = await startWhenFree(place, settings, log);
    const startAgain = async () => (await startWhenFree(place, settings, log, runtimeDir)).postmaster;
    const postmaster = supervisePostmaster(first, startAgain, log);
    return await finishStart(postmaster, join(runtimeDir, `.s.PGSQL.${settings.port ?? 5432}`), lock.release);
  } catch (error) {
    lock.release();
    if (error instanceof EmbeddedPostgresError) throw error;
    throw new EmbeddedPostgresError(`The embedded PostgreSQL cannot start in ${dataDir}: ${messageOf(error)}`);
  }
}

/** How long a command waits for a server that is just starting or stopping. */
const SHARE_LIMIT_MS = 10_000;

/** The embedded PostgreSQL, of this process or of the server that runs on the data directory. */
export type SharedPostgres = Pick<EmbeddedPostgres, "connection" | "stop"> & {
  /** It belongs to a running server and goes on after `stop()`. */
  isOfServer: boolean;
};

/**
 * For commands: uses the PostgreSQL of the server that runs on the data directory, or starts it when none runs.
 *
 * @throws EmbeddedPostgresError as startEmbeddedPostgres
 */
export async function shareEmbeddedPostgres(options: EmbeddedOptions): Promise<SharedPostgres> {
  const deadline = performance.now() + SHARE_LIMIT_MS;
  for (;;) {
    try {
      const { connection, stop } = await startEmbeddedPostgres(options);
      return { connection, stop, isOfServer: false };
    } catch (error) {
      if (!(error instanceof DataDirectoryInUse)) throw error;
      const connection = findRunningDatabase(options.dataDir);
      if (connection) return { connection, stop: async () => {}, isOfServer: true };
      if (performance.now() > deadline) throw error;
    }
    await Bun.sleep(50);
  }
}

function findRunningDatabase(dataDir: string): SocketAddress | undefined {
  const cluster = realpathSync(join(dataDir, "database"));
  if (!findPostmaster(cluster)?.command.includes(`cluster_name=${CLUSTER_NAME}`)) return undefined;
  const socketPath = readPostmasterSocket(cluster);
  return socketPath === undefined ? undefined : { ...OWN_DATABASE, socketPath };
}

/** Removes what earlier versions and killed starts left behind. */
function removeAllBut(kept: string | undefined, directory: string, prefixes: readonly string[]): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (path !== kept && prefixes.some((prefix) => name.startsWith(prefix))) removeIfPossible(path);
  }
}

interface Place {
  programDir: string;
  dataDir: string;
  cluster: string;
  user: PostgresUser;
  prefix: readonly string[];
}

/** initdb works in a directory of another name, which gets its name when it is complete: a killed one leaves no torso. */
async function createCluster(place: Place, durable: boolean): Promise<void> {
  const { dataDir, cluster, user } = place;
  const unfinished = mkdtempSync(`${cluster}.new-`); // mode 0700
  try {
    giveTo(user, unfinished);
    await runInitdb(place, unfinished);
    if (durable) syncFileSystem(dataDir);
    renameSync(unfinished, cluster);
    if (durable) syncDirectory(dataDir);
  } catch (error) {
    removeIfPossible(unfinished);
    throw error;
  }
}

async function runInitdb({ programDir, dataDir, user, prefix }: Place, target: string): Promise<void> {
  const locale = ["-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
  const access = ["-A", "trust", "-U", "postgres"];
  const defaults = Object.entries(CLUSTER_DEFAULTS).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const options = [...locale, ...access, ...defaults, "--no-sync", "--no-instructions"];
  const command = [join(programDir, "bin", "initdb"), "-D", target, ...options];
  const runtimeDir = createRuntimeDirectory(user, dataDir);
  const { status, lastLines } = await runGuarded(command, { user, prefix, runtimeDir }).ended;
  if (status === 0) return;
  const hint = lastLines.includes("could not look up effective user ID")
    ? "\nThis user needs a line in /etc/passwd, at least for the first start."
    : "";
  throw new EmbeddedPostgresError(
    `PostgreSQL could not make its database in ${dataDir} (initdb, status ${status}):\n${lastLines}${hint}`,
  );
}

/**
 * Starts PostgreSQL on a cluster that no live server holds, but whose last PostgreSQL may still be shutting down.
 *
 * @param previousDir the directory of the socket, when it is to be at the same place again
 * @throws DataDirectoryInUse when that takes too long, or when it is one that somebody started by hand
 */
async function startWhenFree(
  place: Place,
  settings: Record<string, string>,
  log: Log,
  previousDir?: string,
): Promise<{ postmaster: Postmaster; runtimeDir: string }> {
  const deadline = performance.now() + PREVIOUS_LIMIT_MS;
  for (;;) {
    await waitForPrevious(place, deadline);
    const runtimeDir = previousDir
      ? recreateRuntimeDirectory(place.user, previousDir)
      : createRuntimeDirectory(place.user, place.dataDir);
    try {
      const withSocket = { ...settings, unix_socket_directories: runtimeDir };
      return { postmaster: await startPostmaster({ ...place, runtimeDir }, withSocket, log), runtimeDir };
    } catch (error) {
      if (!(error instanceof PostmasterFailed && error.isClusterBusy)) throw error;
      if (performance.now() > deadline) throw new DataDirectoryInUse(place.dataDir, "A PostgreSQL server");
      await Bun.sleep(100);
    }
  }
}

async function waitForPrevious({ cluster, dataDir }: Place, deadline: number): Promise<void> {
  let isTold = false;
  for (;;) {
    const previous = findPostmaster(cluster);
    if (previous === undefined) return removeStalePidFile(cluster);
    const isOurs = previous.command.includes(`cluster_name=${CLUSTER_NAME}`);
    if (!isOurs || performance.now() > deadline) {
      throw new DataDirectoryInUse(dataDir, `A PostgreSQL server (process ${previous.pid})`);
    }
    // Its server is dead, or we would not hold the lock. Its guard has told it to stop, unless that was killed too.
    if (!isTold) signalProcess(previous.pid, "SIGINT");
    isTold = true;
    await Bun.sleep(10);
  }
}

async function finishStart(postmaster: Postmaster, socketPath: string, release: () => void): Promise<EmbeddedPostgres> {
  const superuserConnection = { socketPath, username: "postgres", database: "postgres" };
  const connection = { ...OWN_DATABASE, socketPath };
  let isStopping = false;
  const exited = postmaster.ended.then(({ status, lastLines }) => {
    release();
    const message = isStopping
      ? "The embedded PostgreSQL was stopped."
      : `The embedded PostgreSQL ended unexpectedly (status ${status}). Its last messages:\n${lastLines}`;
    return { expected: isStopping, message };
  });
  const stop = async () => {
    isStopping = true;
    await postmaster.stop();
    await exited;
  };
  try {
    return { connection, superuserConnection, version: await prepareDatabase(superuserConnection), exited, stop };
  } catch (error) {
    await stop();
    throw new EmbeddedPostgresError(
      `The embedded PostgreSQL runs, but its database cannot be prepared: ${messageOf(error)}`,
    );
  }
}

/** Creates the server's role and database when missing. @returns PostgreSQL's version */
async function prepareDatabase({ socketPath, username, database }: SocketAddress): Promise<string> {
  const target = { path: socketPath, username, database };
  const sql = postgres({ ...target, max: 1, fetch_types: false, connect_timeout: 30, onnotice: () => {} });
  try {
    const [found] = await sql<{ version: string; role: boolean; database: boolean }[]>`
      select split_part(current_setting('server_version'), ' ', 1) as version,
        exists (select from pg_roles where rolname = 'entries') as role,
        exists (select from pg_database where datname = 'entries') as database`;
    if (!found?.role) await sql`create role entries login`;
    if (!found?.database) await sql`create database entries owner entries`;
    return found?.version ?? "unknown";
  } finally {
    await sql.end();
  }
}
