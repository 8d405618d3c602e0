/** `bun run sql [--check]`: writes src/db/queries.ts, or fails when it is stale, on a PostgreSQL of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../log.ts";
import { connectDatabase } from "./connect.ts";
import { startEmbeddedPostgres } from "./embedded.ts";
import { generateQueries } from "./generate.ts";
import { migrate } from "./migrate.ts";

const TARGET = join(import.meta.dir, "queries.ts");

async function generate(): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), "entries-sql-"));
  const unpackRoot = join(import.meta.dir, "../../node_modules/.cache/entries-server");
  const embedded = await startEmbeddedPostgres({ dataDir, unpackRoot, durable: false, log: silentLog });
  const pool = {
    databaseConnectionsMax: 2,
    databaseIdleTimeoutSecs: 30,
    databaseConnectionTimeoutSecs: 30,
    databaseLifetimeSecs: 3600,
  };
  const db = connectDatabase(embedded.connection, pool, silentLog);
  try {
    await migrate(db, silentLog);
    return await generateQueries(db);
  } finally {
    await db.end();
    await embedded.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const text = await generate();
if (!process.argv.includes("--check")) {
  await Bun.write(TARGET, text);
  console.log(`${TARGET} written`);
} else if (text !== (await Bun.file(TARGET).text())) {
  console.error("src/db/queries.ts is stale: run `bun run sql`");
  process.exit(1);
}
