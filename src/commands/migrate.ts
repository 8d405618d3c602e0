import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { MIGRATIONS, migrate as runMigrations, schemaVersion } from "../db/migrate.ts";
import type { Db } from "../db/query.ts";
import { createLog } from "../log.ts";
import { openDatabase } from "./serve.ts";

/**
 * Brings the database's schema up to date, or with "status" only tells how far it is.
 *
 * @returns the exit status: 0 when the schema is up to date, 1 when it is not or the database cannot be reached
 */
export async function migrate(config: Config, action: "run" | "status"): Promise<number> {
  const isMissing = config.database.kind === "embedded" && !existsSync(join(config.dataDir, "database"));
  if (action === "status" && isMissing) {
    console.log(`There is no database in ${config.dataDir} yet. The first start makes it.`);
    return 1;
  }
  const log = createLog("warn", process.stderr.isTTY === true, (text) => process.stderr.write(text));
  const { db, embedded } = await openDatabase(config, log);
  try {
    if (action === "status") return await printStatus(db);
    const applied = await runMigrations(db, log);
    for (const { version, name } of applied) console.log(`Applied migration ${version}, ${name}.`);
    console.log("The schema is up to date.");
    return 0;
  } finally {
    await db.end({ timeout: 5 });
    await embedded?.stop();
  }
}

async function printStatus(db: Db): Promise<number> {
  const found = await schemaVersion(db);
  const newest = MIGRATIONS.at(-1)?.version ?? 0;
  for (const { version, name } of MIGRATIONS) {
    console.log(`${version} ${name}: ${version <= found ? "applied" : "not applied"}`);
  }
  console.log(`The database has schema version ${found}; this server needs ${newest}.`);
  return found === newest ? 0 : 1;
}
