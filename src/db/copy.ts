/**
 * Whole tables as streams of rows, in the text format of COPY. postgres.js has COPY, with three traps that only this
 * file knows: it needs a connection of its own (others' statements fail meanwhile), after COPY OUT the socket may stay
 * paused for ever, and an error that follows the last row of a COPY IN is forgotten.
 */
import { connect, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import postgres from "postgres";
import { backup as queries } from "./queries.ts";
import type { Executor } from "./query.ts";

/** A table as the catalogue has it. */
export type Table = Awaited<ReturnType<typeof queries.tables>>[number];

/** A transaction on a connection of its own. */
export interface CopyTransaction {
  /** For other statements, while no rows are being read or written. */
  db: Executor;
  /** The rows of a table in the order of its primary key, so that the same rows are always the same bytes. */
  read(table: Table): AsyncIterable<Uint8Array>;
  /**
   * Adds rows to a table.
   *
   * @param columns in the order of the rows' values
   * @throws PostgresError when they are no rows of this table, or an error of `rows`
   */
  write(table: Table, columns: readonly string[], rows: AsyncIterable<Uint8Array>): Promise<void>;
  /** Removes all rows of all tables and fires no triggers from here on: foreign keys are not checked, nothing is counted. */
  beginRestore(): Promise<void>;
}

/**
 * Runs one transaction over the unix socket of a database and commits it.
 *
 * @param mode "snapshot" sees everything as of its beginning and writes nothing; "restore" must be a superuser's
 */
export async function withCopyTransaction<Result>(
  address: { socketPath: string; username: string; database: string },
  mode: "snapshot" | "restore",
  run: (transaction: CopyTransaction) => Promise<Result>,
): Promise<Result> {
  let socket: Socket | undefined;
  const options = {
    path: address.socketPath,
    username: address.username,
    database: address.database,
    max: 1,
    // A connection that ended between two statements would be replaced, outside the transaction.
    idle_timeout: 0,
    max_lifetime: 0,
    connection: { TimeZone: "UTC", statement_timeout: 0, idle_in_transaction_session_timeout: 0 },
    types: { bigint: postgres.BigInt },
    onnotice: () => {},
    socket: async () => {
      socket = await openSocket(address.socketPath);
      return socket;
    },
  };
  const sql = postgres(options as postgres.Options<{ bigint: postgres.PostgresType<bigint> }>);
  try {
    const characteristics = mode === "snapshot" ? "isolation level repeatable read read only" : "";
    return (await sql.begin(characteristics, (transaction) => {
      const db = transaction as unknown as Executor;
      return run({
        db,
        read: (table) => readRows(db, table, () => socket?.resume()),
        write: (table, columns, rows) => writeRows(db, table, columns, rows),
        beginRestore: () => beginRestore(db),
      });
    })) as Result;
  } finally {
    await sql.end({ timeout: 0 });
  }
}

function openSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/** @param resume wakes the connection, which may be paused and, with nothing left to read, would stay so */
async function* readRows(db: Executor, table: Table, resume: () => void): AsyncGenerator<Uint8Array> {
  if (table.key.length === 0) throw new Error(`The table ${table.name} has no primary key.`);
  const [columns, key] = [table.columns, table.key].map((names) => names.map(quoted).join(", "));
  const statement = `copy (select ${columns} from ${quoted(table.name)} order by ${key}) to stdout`;
  const rows = (await db.unsafe(statement).readable()) as Readable;
  try {
    for await (const chunk of rows) yield chunk;
  } finally {
    resume();
  }
}

async function writeRows(
  db: Executor,
  table: Table,
  columns: readonly string[],
  rows: AsyncIterable<Uint8Array>,
): Promise<void> {
  const pending = db.unsafe(`copy ${quoted(table.name)} (${columns.map(quoted).join(", ")}) from stdin`);
  const stream = (await pending.writable()) as Writable;
  // For postgres.js the statement is done by now; what it finds out later it tells only this function.
  const refused = new Promise<never>((_, reject) => Object.assign(pending, { reject }));
  await Promise.race([pipeline(rows, stream), refused]);
}

async function beginRestore(db: Executor): Promise<void> {
  const tables = await queries.tables(db, {});
  await db.unsafe("set local session_replication_role = replica");
  await db.unsafe(`truncate ${tables.map(({ name }) => quoted(name)).join(", ")}`);
}

/** A name of the catalogue in a statement. */
function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
