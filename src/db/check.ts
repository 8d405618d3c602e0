import { isDatabaseUnavailable } from "./connect.ts";
import { allQueries } from "./queries.ts";
import type { Db } from "./query.ts";

const TOO_MANY_CONNECTIONS = "53300";

/** The database does not have the schema that this server's statements need. */
export class SchemaMismatch extends Error {
  override readonly name = "SchemaMismatch";
}

/**
 * Asks the database to describe every statement, so that a server on the wrong schema stops at start and not at a
 * customer's request.
 *
 * @throws SchemaMismatch naming the first file that does not fit; Error when the database is away or has too few
 *   connections
 */
export async function checkQueries(db: Db): Promise<void> {
  // On one connection: ten of them would read the catalogue ten times.
  const connection = await db.reserve().catch((error) => {
    throw describeRefusal(error);
  });
  try {
    await Promise.all(
      allQueries.map(async ({ file, text }) => {
        try {
          await connection.unsafe(text, [], { prepare: true }).describe();
        } catch (error) {
          if (isDatabaseUnavailable(error)) throw error;
          const reason = error instanceof Error ? error.message : String(error);
          throw new SchemaMismatch(`sql/${file}.sql does not fit the database's schema: ${reason}`);
        }
      }),
    );
  } finally {
    connection.release();
  }
}

/** What the operator can do when there is no connection to be had. */
function describeRefusal(error: unknown): unknown {
  if (!(error instanceof Error && "code" in error && error.code === TOO_MANY_CONNECTIONS)) return error;
  return new Error(
    `The database has too few connections: ${error.message}. Lower ENTRIES_DB_MAX_CONNECTIONS or raise its max_connections.`,
  );
}
