/** What limiter, CORS, logging, metrics and security headers together cost an edit: one server with, one without. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPool } from "./bare.ts";
import { requireAllWritten } from "./edits.ts";
import { startExternalDatabase } from "./externalDatabase.ts";
import type { EditTally } from "./load.ts";
import { type Figure, median, medianRatio } from "./report.ts";
import { type ServerProcess, startServer } from "./serverProcess.ts";
import { type Site, signUp } from "./site.ts";
import { countChanges } from "./stock.ts";
import { startWorker } from "./worker.ts";

const CONNECTIONS = 64;
const ROUNDS = 9;
const ROUND_SECS = 3;
const WARM_UP_SECS = 3;
/** So that answers carry `Vary: Origin`. */
const ORIGINS = "https://app.example.org,https://other.example.org";

/** @param name of a data directory on which everything is stored and no server runs */
export async function measureOverhead(site: Site, name: string): Promise<Figure[]> {
  const database = await startExternalDatabase(site.dataDir(name));
  const load = startWorker();
  const db = openPool(database.socketPath, 1, "postgres");
  const environment = { ...database.environment, ENTRIES_CORS_ALLOWED_ORIGINS: ORIGINS };
  const program = programIn(site.directory);
  const servers: ServerProcess[] = [];
  try {
    const start = async (...options: string[]) => {
      const server = await startServer(program, options, environment, site.logFile);
      servers.push(server);
      return server;
    };
    const owner = await startServer(
      site.executable,
      [`--data-dir=${site.dataDir("owner")}`],
      environment,
      site.logFile,
    );
    servers.push(owner);
    const { accessToken } = await signUp(owner.port, site.dataDir("owner"));
    const full = await start();
    const plain = await start("--plain");

    const edit = ({ port }: ServerProcess, seconds: number) =>
      load.run("edit", { port, accessToken, connections: CONNECTIONS, seconds, tokens: "reused" });
    const changesBefore = await countChanges(db);
    const warmUp = [await edit(full, WARM_UP_SECS), await edit(plain, WARM_UP_SECS)];
    const withAll: EditTally[] = [];
    const without: EditTally[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      withAll.push(await edit(full, ROUND_SECS));
      without.push(await edit(plain, ROUND_SECS));
    }
    requireAllWritten([...warmUp, ...withAll, ...without], 0, (await countChanges(db)) - changesBefore);
    return [figureOf(withAll, without)];
  } finally {
    load.stop();
    await db.end({ timeout: 1 });
    await Promise.all(servers.map((server) => server.stop()));
    await database.stop();
  }
}

function figureOf(withAll: readonly EditTally[], without: readonly EditTally[]): Figure {
  const [full, plain] = [withAll, without].map((tallies) => tallies.map(({ perSecond }) => perSecond)) as [
    number[],
    number[],
  ];
  return {
    name: "edits with limits, CORS, log, metrics, headers",
    value: medianRatio(full, plain),
    unit: "of without",
    target: { least: 0.92 },
    detail: `${median(full).toFixed(0)} against ${median(plain).toFixed(0)} edits/s`,
  };
}

/** The server of overheadServer.ts as one file to start. */
function programIn(directory: string): string {
  const path = join(directory, "overhead-server");
  writeFileSync(path, `#!/bin/sh\nexec "${process.execPath}" "${join(import.meta.dir, "overheadServer.ts")}" "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}
