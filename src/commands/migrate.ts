import type { Config } from "../config.ts";
import { MIGRATIONS, migrate as runMigrations, schemaVersion } from "../db/migrate.ts";
import type { Db } from "../db/query.ts";
import { openPools } from "../run/server.ts";
import { commandLog, isDatabaseMissing, openDatabase } from "./database.ts";

/**
 * Brings the database's schema up to date, or with "status" only tells how far it is.
 *
 * @returns the exit status: 0 when the schema is up to date, 1 when it is not or the database cannot be reached
 */
export async function migrate(config: Config, action: "run" | "status"): Promise<number> {
  return action === "status" ? showStatus(config) : runPending(config);
}

/** An embedded database of a running server is refused: the schema must not change under it. */
async function runPending(config: Config): Promise<number> {
  const log = commandLog();
  const { db, patientDb, embedded } = await openPools(config, log);
  try {
    const applied = await runMigrations(patientDb, log);
    for (const { version, name } of applied) console.log(`Applied migration ${version}, ${name}.`);
    console.log("The schema is up to date.");
    return 0;
  } finally {
    await Promise.all([db.end({ timeout: 5 }), patientDb.end({ timeout: 5 })]);
    await embedded?.stop();
  }
}

async function showStatus(config: Config): Promise<number> {
  if (isDatabaseMissing(config)) {
    console.log(`There is no database in ${config.dataDir} yet. The first start makes it.`);
    return 1;
  }
  const { db, close } = await openDatabase(config, commandLog());
  try {
    return await printStatus(db);
  } finally {
    await close();
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
