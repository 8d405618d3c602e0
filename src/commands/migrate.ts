import type { Config } from "../config.ts";
import { MIGRATIONS, migrate as runMigrations, schemaVersion } from "../db/migrate.ts";
import { createLog } from "../log.ts";
import { openDatabase } from "./serve.ts";

/**
 * Brings the database's schema up to date, or with "status" only tells how far it is.
 *
 * @returns the exit status: 0 when the schema is up to date, 1 when it is not or the database cannot be reached
 */
export async function migrate(config: Config, action: "run" | "status"): Promise<number> {
  const log = createLog("warn", true, (text) => process.stderr.write(text));
  const { db, embedded } = await openDatabase(config, log);
  try {
    if (action === "run") {
      const applied = await runMigrations(db, log);
      console.log(applied.length === 0 ? "The schema is up to date." : `Applied ${applied.length} migration(s).`);
      return 0;
    }
    const found = await schemaVersion(db);
    const newest = MIGRATIONS.at(-1)?.version ?? 0;
    console.log(`The database has schema version ${found}; this server needs ${newest}.`);
    return found === newest ? 0 : 1;
  } finally {
    await db.end({ timeout: 5 });
    await embedded?.stop();
  }
}
