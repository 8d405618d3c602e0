/** How commands come to the database, whether a server is running on it or not. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { connectDatabase, type DatabaseAddress, waitForDatabase } from "../db/connect.ts";
import { shareEmbeddedPostgres } from "../db/embedded.ts";
import { MIGRATIONS, SchemaTooNew, schemaVersion } from "../db/migrate.ts";
import type { Db } from "../db/query.ts";
import { createLog, type Log } from "../log.ts";
import { print } from "./command.ts";

/** How long a command waits for an external database. */
const WAIT_SECS = 5;
/** A command needs little, and a server may be using the rest. */
const POOL = { databaseConnectionsMax: 2, databaseConnectionTimeoutSecs: WAIT_SECS };

/** True when there is nothing to look at yet. */
export function isDatabaseMissing(config: Config): boolean {
  return config.database.kind === "embedded" && !existsSync(join(config.dataDir, "database"));
}

/** For stderr, since stdout is what the command prints. */
export function commandLog(): Log {
  return createLog("warn", process.stderr.isTTY === true, (text) => process.stderr.write(text));
}

export interface OpenDatabase {
  db: Db;
  /** It is the embedded database of a running server, which goes on. */
  isOfServer: boolean;
  close(): Promise<void>;
}

/**
 * Opens the external database, or the embedded one: through the running server's socket, else by starting it.
 *
 * @param waitSecs how long one that is away is tried again
 * @throws Error when it cannot be reached
 */
export async function openDatabase(config: Config, log: Log, waitSecs = WAIT_SECS): Promise<OpenDatabase> {
  const { address, isOfServer, stop } = await findDatabase(config, log);
  const db = connectDatabase(address, { ...config, ...POOL }, log);
  async function close(): Promise<void> {
    await db.end({ timeout: 1 });
    await stop();
  }
  try {
    await waitForDatabase(db, waitSecs, log);
    return { db, isOfServer, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function findDatabase(
  { database, dataDir }: Config,
  log: Log,
): Promise<{ address: DatabaseAddress; isOfServer: boolean; stop(): Promise<void> }> {
  if (database.kind === "external") return { address: database, isOfServer: false, stop: async () => {} };
  const { connection, isOfServer, stop } = await shareEmbeddedPostgres({ dataDir, log });
  return { address: connection, isOfServer, stop };
}

/**
 * Runs a command on a database that exists and has the schema of this program, and prints what it answers.
 *
 * @returns the exit status
 * @throws Error that says what to do, or the command's
 */
export async function withDatabase(config: Config, run: (db: Db, log: Log) => Promise<string>): Promise<number> {
  if (isDatabaseMissing(config)) {
    throw new Error(`There is no database in ${config.dataDir} yet. The first start makes it.`);
  }
  const log = commandLog();
  const { db, close } = await openDatabase(config, log);
  try {
    await requireSchema(db);
    return await print(await run(db, log));
  } finally {
    await close();
  }
}

/** @throws Error when the schema is not the one that this program's statements are made for */
async function requireSchema(db: Db): Promise<void> {
  const found = await schemaVersion(db);
  const needed = MIGRATIONS.at(-1)?.version ?? 0;
  if (found > needed) throw new SchemaTooNew(found, needed);
  if (found < needed) {
    throw new Error(
      `The database has schema version ${found}, this program needs ${needed}. "entries-server migrate" brings it up to date.`,
    );
  }
}
