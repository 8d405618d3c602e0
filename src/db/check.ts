import { allQueries } from "./queries.ts";
import type { Db } from "./query.ts";

/** The database does not have the schema that this server's statements need. */
export class SchemaMismatch extends Error {
  override readonly name = "SchemaMismatch";
}

/**
 * Asks the database to describe every statement, so that a server on the wrong schema stops at start and not at a
 * customer's request.
 *
 * @throws SchemaMismatch naming the first file that does not fit
 */
export async function checkQueries(db: Db): Promise<void> {
  await Promise.all(
    allQueries.map(async ({ file, text }) => {
      try {
        await db.unsafe(text, [], { prepare: true }).describe();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new SchemaMismatch(`sql/${file}.sql does not fit the database's schema: ${reason}`);
      }
    }),
  );
}
