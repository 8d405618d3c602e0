/** What the tests of backups need: databases that are backed up and restored, and every row of them. */
import { readdirSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type WrittenBackup, writeBackup } from "../../src/backup/backup.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { connectDatabase } from "../../src/db/connect.ts";
import { type SocketAddress, startEmbeddedPostgres } from "../../src/db/embedded.ts";
import { backup as queries } from "../../src/db/queries.ts";
import type { Db } from "../../src/db/query.ts";
import { silentLog } from "../../src/log.ts";
import { POOL, type TestDatabase } from "../support/database.ts";

export const UNPACK_ROOT = join(import.meta.dir, "../../node_modules/.cache/entries-server");
export const RESTORE_OPTIONS = { log: silentLog, unpackRoot: UNPACK_ROOT };
/** Backups are of the embedded database, which the tests do not run on when another one is named. */
export const isElsewhere = process.env.ENTRIES_TEST_DATABASE_URL !== undefined;

export const newFolder = () => mkdtemp(join(tmpdir(), "entries-backup-"));

export function socketOf({ address }: TestDatabase): SocketAddress {
  if ("url" in address) throw new Error("this test needs the embedded database");
  return address;
}

export function backUp(database: TestDatabase, file: string, force = false): Promise<WrittenBackup> {
  return writeBackup(socketOf(database), file, { secrets: {}, force });
}

/** Restores and starts the restored database. */
export async function restoreAndStart(
  file: string,
  dataDir: string,
  revokedUntil?: bigint,
): Promise<TestDatabase & { stop(): Promise<void> }> {
  await restoreBackup(file, dataDir, revokedUntil, RESTORE_OPTIONS);
  const embedded = await startEmbeddedPostgres({ ...RESTORE_OPTIONS, dataDir, durable: false });
  const address = embedded.connection;
  const connect = () => connectDatabase(address, POOL, silentLog);
  const db = connect();
  async function stop(): Promise<void> {
    await db.end({ timeout: 1 });
    await embedded.stop();
  }
  return { db, name: address.database, address, connect, stop };
}

/** Every row of every table as text, in order. */
export async function allRows(db: Db): Promise<Map<string, string[]>> {
  const tables = await queries.tables(db, {});
  const rows = await Promise.all(
    tables.map(({ name }) => db.unsafe(`select row(t.*)::text as row from "${name}" as t order by 1`)),
  );
  return new Map(tables.map(({ name }, place) => [name, (rows[place] ?? []).map(({ row }) => String(row))]));
}

/** What a failed restore must not leave: anything that a server would start on, or room that is taken. */
export function leftovers(dataDir: string): string[] {
  return readdirSync(dataDir).filter((name) => name !== "server.lock" && name !== "postgres");
}
