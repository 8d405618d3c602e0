/** Writes a backup of the embedded database: one snapshot of all tables, while servers may be writing. */
import { randomUUID } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { type FileHandle, link, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { version } from "../../package.json";
import { type CopyTransaction, withCopyTransaction } from "../db/copy.ts";
import { messageOf, syncDirectory } from "../db/dataDirectory.ts";
import type { SocketAddress } from "../db/embedded.ts";
import { MIGRATIONS, SchemaTooNew, schemaVersion } from "../db/migrate.ts";
import { POSTGRES_MAJOR } from "../db/postgresPack.ts";
import { backup as queries } from "../db/queries.ts";
import {
  compressor,
  encodeBackup,
  FORMAT,
  FORMAT_VERSION,
  type Header,
  type Section,
  type TableSum,
} from "./format.ts";

export interface BackupOptions {
  /** Replaces a file that is there. */
  force?: boolean | undefined;
  /** Content of the files in `<data-dir>/secrets/`, by name. */
  secrets: Record<string, string>;
  /** Ends it early. */
  signal?: AbortSignal | undefined;
}

export interface WrittenBackup {
  schema: number;
  tables: TableSum[];
  /** Of the file. */
  bytes: number;
}

/**
 * Writes the file under another name beside it and gives it its own when it is whole and on disk. Only its owner may
 * read it (mode 0600). Holds no more than a row or 64 KB of each step in memory.
 *
 * @throws Error when the file exists or cannot be written, or when the schema is not one that this program knows
 */
export async function writeBackup(
  address: SocketAddress,
  file: string,
  { force = false, secrets, signal }: BackupOptions,
): Promise<WrittenBackup> {
  requireFree(file, force);
  const unfinished = `${file}.unfinished-${randomUUID().slice(0, 8)}`;
  const handle = await open(unfinished, "wx", 0o600).catch((error) => {
    throw new Error(`Cannot write ${unfinished}: ${messageOf(error)}`);
  });
  try {
    const written = await withCopyTransaction(address, "snapshot", async (transaction) => {
      const header = await describe(transaction, secrets);
      const tables: TableSum[] = [];
      const content = encodeBackup(header, sections(transaction, signal), tables);
      await pipeline(content, compressor(), (chunks: AsyncIterable<Uint8Array>) =>
        writeAll(handle, unfinished, chunks),
      );
      return { schema: header.schema, tables };
    });
    await handle.sync();
    const { size } = await handle.stat();
    await giveName(unfinished, file, force);
    return { ...written, bytes: size };
  } finally {
    await handle.close();
    await rm(unfinished, { force: true });
  }
}

function requireFree(file: string, force: boolean): void {
  if (!existsSync(file)) return;
  if (statSync(file).isDirectory()) throw new Error(`${file} is a directory. Name a file.`);
  if (!force) throw isThere(file);
}

function isThere(file: string): Error {
  return new Error(`${file} exists already. --force replaces it.`);
}

async function describe({ db }: CopyTransaction, secrets: Record<string, string>): Promise<Header> {
  const schema = await schemaVersion(db);
  const newest = MIGRATIONS.at(-1)?.version ?? 0;
  if (schema === 0) throw new Error('The database has no schema yet. The first start or "migrate" makes it.');
  if (schema > newest) throw new SchemaTooNew(schema, newest);
  const created = new Date().toISOString();
  return {
    format: FORMAT,
    version: FORMAT_VERSION,
    server: version,
    postgresql: POSTGRES_MAJOR,
    schema,
    created,
    secrets,
  };
}

async function* sections(
  { db, read }: CopyTransaction,
  signal: AbortSignal | undefined,
): AsyncGenerator<Section & { rows: AsyncIterable<Uint8Array> }> {
  for (const table of await queries.tables(db, {})) {
    yield { table: table.name, columns: table.columns, rows: whileWanted(read(table), signal) };
  }
}

/** @throws Error as soon as the signal says that this is no longer wanted */
export async function* whileWanted(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    if (signal?.aborted) throw new Error("Stopped.");
    yield chunk;
  }
}

async function writeAll(handle: FileHandle, file: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of chunks) {
    await handle.writeFile(chunk).catch((error) => {
      throw new Error(`Cannot write ${file}: ${messageOf(error)}`);
    });
  }
}

/** At once, so that of two backups to one name the second fails. Where there are no links (FAT) nearly at once. */
async function giveName(unfinished: string, file: string, force: boolean): Promise<void> {
  try {
    if (force) await rename(unfinished, file);
    else await link(unfinished, file);
  } catch (error) {
    if (force || existsSync(file)) throw force ? error : isThere(file);
    await rename(unfinished, file);
  }
  syncDirectory(dirname(file));
}
