/** Reads a backup into a new data directory, or into a temporary one to see whether that works. */
import { chmodSync, existsSync, mkdtempSync, readdirSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectDatabase, type PoolSettings } from "../db/connect.ts";
import { type CopyTransaction, type Table, withCopyTransaction } from "../db/copy.ts";
import { createDataDirectory, lockDataDirectory, removeIfPossible, syncDirectory } from "../db/dataDirectory.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../db/embedded.ts";
import { syncFileSystem } from "../db/libc.ts";
import { MIGRATIONS, migrate } from "../db/migrate.ts";
import { backup as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import type { Log } from "../log.ts";
import { putSecrets } from "../secrets.ts";
import { whileWanted } from "./backup.ts";
import { BackupReader, BackupUnusable, type Header, isSameSum, RunningSum, type TableSum } from "./format.ts";

/**
 * How far restored containers' sequence numbers move on. More than are given out between a backup and its restore, so
 * that every cursor of a client is below; and of the 40 bits that a cursor has (src/sync/cursor.ts) no more than a
 * thousandth. The second half makes the marks of cursors differ, which are the 23 low bits.
 */
export const SEQUENCE_GAP = 2n ** 30n + 2n ** 22n;

/** What a restore that was killed leaves in the data directory. */
const UNFINISHED_PREFIX = "restoring-";
/** What may be in a data directory without being anybody's data. */
const UNIMPORTANT = ["server.lock", "postgres", "lost+found"];

export interface RestoreOptions {
  log: Log;
  /** Ends it early, with nothing restored. */
  signal?: AbortSignal | undefined;
  /** Where PostgreSQL's programs are unpacked to. */
  unpackRoot?: string | undefined;
}

export interface Restored {
  header: Header;
  tables: TableSum[];
  /** How many sessions were ended; undefined when they were kept. */
  endedSessions: bigint | undefined;
}

/**
 * Restores into a data directory that holds nothing yet. The database comes into being in a folder inside and gets its
 * place when it is whole and on disk, so that an interrupted restore leaves nothing that a server would start on.
 *
 * @param revokedUntil when the last access token that was issued expires, in microseconds since the Unix epoch; all
 *   sessions are ended. undefined keeps them
 * @throws Error when the data directory is in use or not empty, BackupUnusable when the file is no good
 */
export async function restoreBackup(
  file: string,
  dataDir: string,
  revokedUntil: bigint | undefined,
  options: RestoreOptions,
): Promise<Restored> {
  requireEmpty(dataDir);
  const reader = await openBackup(file);
  try {
    const place = createDataDirectory(dataDir);
    const lock = lockDataDirectory(place);
    try {
      return await fillDataDirectory(reader, place, revokedUntil, options);
    } finally {
      lock.release();
    }
  } finally {
    await reader.close();
  }
}

/** @throws Error when there is something, or a server runs there */
function requireEmpty(dataDir: string): void {
  const names = existsSync(dataDir) ? readdirSync(dataDir) : [];
  if (names.includes("server.lock")) lockDataDirectory(dataDir).release();
  const found = names.filter((name) => !UNIMPORTANT.includes(name) && !name.startsWith(UNFINISHED_PREFIX));
  if (found.length === 0) return;
  throw new Error(
    `The data directory ${dataDir} is not empty (${found.slice(0, 3).join(", ")}). ` +
      "Restore into a new one with --data-dir, or move this one away.",
  );
}

async function fillDataDirectory(
  reader: BackupReader,
  dataDir: string,
  revokedUntil: bigint | undefined,
  options: RestoreOptions,
): Promise<Restored> {
  removeUnfinished(dataDir);
  const work = temporaryDirectory(dataDir, UNFINISHED_PREFIX);
  try {
    const unpackRoot = options.unpackRoot ?? join(dataDir, "postgres");
    const restored = await withEmbedded(work, { ...options, unpackRoot }, async (embedded) => {
      const loaded = await loadAll(reader, embedded, options);
      const endedSessions = await withDatabase(embedded, options.log, async (db) => {
        await migrate(db, options.log);
        await queries.restart_clients(db, { gap: SEQUENCE_GAP });
        if (revokedUntil === undefined) return undefined;
        return (await queries.end_sessions(db, { revoked_until: revokedUntil })).ended_sessions;
      });
      return { header: reader.header, tables: loaded.map(({ sum }) => sum), endedSessions };
    });
    syncFileSystem(work);
    putSecrets(dataDir, reader.header.secrets);
    renameSync(join(work, "database"), join(dataDir, "database"));
    syncDirectory(dataDir);
    return restored;
  } finally {
    removeIfPossible(work);
  }
}

function removeUnfinished(dataDir: string): void {
  for (const name of readdirSync(dataDir)) {
    if (name.startsWith(UNFINISHED_PREFIX)) removeIfPossible(join(dataDir, name));
  }
}

/** @returns a new directory that, as any data directory, PostgreSQL's user may pass through */
function temporaryDirectory(parent: string, prefix: string): string {
  const path = mkdtempSync(join(parent, prefix)); // mode 0700
  if (process.geteuid?.() === 0) chmodSync(path, 0o711);
  return path;
}

export interface Verified {
  header: Header;
  tables: TableSum[];
  /** The names of tables that came out of the database otherwise than they went in. */
  different: string[];
}

/**
 * Restores into a temporary directory, reads every table again, compares it with the manifest, and removes it all.
 *
 * @throws BackupUnusable when the file is no good
 */
export async function verifyBackup(file: string, options: RestoreOptions): Promise<Verified> {
  const reader = await openBackup(file);
  const work = temporaryDirectory(tmpdir(), "entries-verify-");
  try {
    return await withEmbedded(work, options, async (embedded) => {
      const loaded = await loadAll(reader, embedded, options);
      const again = await withCopyTransaction(ownDatabase(embedded), "snapshot", (copy) =>
        sumAgain(copy, loaded, options.signal),
      );
      const tables = loaded.map(({ sum }) => sum);
      const different = tables.filter((sum, place) => !isSameSum(again[place], sum)).map(({ name }) => name);
      return { header: reader.header, tables, different };
    });
  } finally {
    removeIfPossible(work);
    await reader.close();
  }
}

/** Runs a PostgreSQL that may lose everything in a power cut, which makes it fast. */
async function withEmbedded<Result>(
  dataDir: string,
  { log, unpackRoot }: RestoreOptions,
  run: (embedded: EmbeddedPostgres) => Promise<Result>,
): Promise<Result> {
  const place = unpackRoot === undefined ? { dataDir } : { dataDir, unpackRoot };
  const embedded = await startEmbeddedPostgres({ ...place, log, durable: false });
  try {
    return await run(embedded);
  } finally {
    await embedded.stop();
  }
}

const POOL: PoolSettings = {
  databaseConnectionsMax: 2,
  databaseIdleTimeoutSecs: 30,
  databaseConnectionTimeoutSecs: 30,
  databaseLifetimeSecs: 3600,
};

async function withDatabase<Result>(
  { connection }: EmbeddedPostgres,
  log: Log,
  run: (db: Db) => Promise<Result>,
): Promise<Result> {
  const db = connectDatabase(connection, POOL, log);
  try {
    return await run(db);
  } finally {
    await db.end({ timeout: 1 });
  }
}

/** The server's database, as the superuser. */
function ownDatabase({ connection, superuserConnection }: EmbeddedPostgres) {
  return { ...superuserConnection, database: connection.database };
}

async function openBackup(file: string): Promise<BackupReader> {
  const reader = await BackupReader.open(file);
  const { schema, server } = reader.header;
  const newest = MIGRATIONS.at(-1)?.version ?? 0;
  if (schema <= newest) return reader;
  await reader.close();
  throw new BackupUnusable(
    `The backup has schema version ${schema}, but this program knows versions up to ${newest}. Install entries-server ${server} or newer.`,
  );
}

/** A table with its columns in the order of the backup, and what was loaded into it. */
interface LoadedTable {
  table: Table;
  sum: TableSum;
}

/**
 * Makes the schema that the backup was made with and loads all tables, in one transaction.
 *
 * @returns the tables, after all of them agreed with the manifest
 */
async function loadAll(
  reader: BackupReader,
  embedded: EmbeddedPostgres,
  options: RestoreOptions,
): Promise<LoadedTable[]> {
  const migrations = MIGRATIONS.filter(({ version }) => version <= reader.header.schema);
  await withDatabase(embedded, options.log, (db) => migrate(db, options.log, migrations));
  return withCopyTransaction(ownDatabase(embedded), "restore", (copy) => loadTables(reader, copy, options.signal));
}

async function loadTables(
  reader: BackupReader,
  { db, beginRestore, write }: CopyTransaction,
  signal: AbortSignal | undefined,
): Promise<LoadedTable[]> {
  const missing = new Map((await queries.tables(db, {})).map((table) => [table.name, table]));
  await beginRestore();
  const loaded: LoadedTable[] = [];
  for (;;) {
    const part = await reader.next();
    if ("tables" in part) {
      requireWhole(part.tables, loaded, [...missing.keys()]);
      return loaded;
    }
    const table = missing.get(part.table);
    if (!table || !hasColumns(table, part.columns)) {
      throw new BackupUnusable(`The backup does not fit its schema version ${reader.header.schema}: ${part.table}.`);
    }
    missing.delete(part.table);
    const sum = new RunningSum(part.table);
    await write(table, part.columns, summed(whileWanted(reader.rows(), signal), sum)).catch((error) => {
      throw isOfRows(error)
        ? new BackupUnusable(`The backup is damaged: PostgreSQL refuses its rows of ${part.table}.`)
        : error;
    });
    loaded.push({ table: { ...table, columns: part.columns }, sum: sum.total() });
  }
}

/** Such errors of PostgreSQL (data exception, integrity constraint) quote values of rows, which nobody should see. */
function isOfRows(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^2[23]/.test(String(error.code));
}

function hasColumns({ columns }: Table, given: readonly string[]): boolean {
  return (
    given.length === columns.length &&
    new Set(given).size === given.length &&
    given.every((name) => columns.includes(name))
  );
}

/** @throws BackupUnusable when what was loaded is not what the manifest says, table by table */
function requireWhole(manifest: readonly TableSum[], loaded: readonly LoadedTable[], missing: string[]): void {
  const sums = new Map(loaded.map(({ sum }) => [sum.name, sum]));
  const different = manifest.filter((sum) => !isSameSum(sums.get(sum.name), sum)).map(({ name }) => name);
  const names = [...new Set([...missing, ...different])];
  if (names.length === 0 && manifest.length === loaded.length) return;
  throw new BackupUnusable(`The backup is damaged: its rows are not what its manifest says (${names.join(", ")}).`);
}

async function* summed(chunks: AsyncIterable<Uint8Array>, sum: RunningSum): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    sum.add(chunk);
    yield chunk;
  }
}

/** The sums of the same tables, from the database. */
async function sumAgain(
  { read }: CopyTransaction,
  loaded: readonly LoadedTable[],
  signal: AbortSignal | undefined,
): Promise<TableSum[]> {
  const sums: TableSum[] = [];
  for (const { table } of loaded) {
    const sum = new RunningSum(table.name);
    for await (const chunk of whileWanted(read(table), signal)) sum.add(chunk);
    sums.push(sum.total());
  }
  return sums;
}
