/** How long a start takes, and how large the server is, on disk and in memory. */
import { randomBytes } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { startPostmaster } from "../../src/db/postgresProcess.ts";
import { choosePostgresUser, createRuntimeDirectory, reachPrefix } from "../../src/db/postgresUser.ts";
import { silentLog } from "../../src/log.ts";
import { type Figure, median } from "./report.ts";
import { freePort, type ServerProcess, startServer } from "./serverProcess.ts";
import { ENVIRONMENT, type Site } from "./site.ts";

const FIRST_STARTS = 3;
const LATER_STARTS = 9;
/** After the first answer, what a start leaves behind has settled by then. */
const IDLE_MS = 3000;
const MIB = 1024 * 1024;
const BINARY_BYTES_MAX = 135_000_000;

export function measureSize(executable: string): Figure {
  const bytes = statSync(executable).size;
  return { name: "binary", value: bytes / 1e6, unit: "MB", target: { most: BINARY_BYTES_MAX / 1e6 }, detail: "" };
}

/** Starts on empty data directories, which are called first-0, first-1, …, and the memory that the server then takes. */
export async function measureFirstStarts(site: Site): Promise<Figure[]> {
  const times: number[] = [];
  const sizes: number[] = [];
  for (let index = 0; index < FIRST_STARTS; index++) {
    const server = await site.start(`first-${index}`);
    times.push(server.firstAnswerMs);
    sizes.push(await idleBytes(server));
    await server.stop();
  }
  const start = startFigure("first start ever, embedded database", times, 3000);
  return [start, memoryFigure("resident memory, idle, after that", sizes)];
}

/** Starts on a data directory that exists, which was left in order, and the memory that the server then takes. */
export async function measureLaterStarts(site: Site, name: string): Promise<Figure[]> {
  const times: number[] = [];
  const sizes: number[] = [];
  for (let index = 0; index < LATER_STARTS; index++) {
    const server = await site.start(name);
    times.push(server.firstAnswerMs);
    if (index % 3 === 0) sizes.push(await idleBytes(server));
    await server.stop();
  }
  return [
    startFigure("later start, embedded database", times, 300),
    memoryFigure("resident memory, idle, after that", sizes),
  ];
}

async function idleBytes(server: ServerProcess): Promise<number> {
  await Bun.sleep(IDLE_MS);
  return server.residentBytes();
}

function memoryFigure(name: string, sizes: readonly number[]): Figure {
  const detail = `median of ${sizes.length}, ${IDLE_MS / 1000} s after the start, without the database`;
  return { name, value: median(sizes) / MIB, unit: "MiB", target: { most: 90 }, detail };
}

/** Starts on a database that runs already: the one of a data directory, this time reached over TCP. */
export async function measureExternalStarts(site: Site, name: string): Promise<Figure> {
  const database = await startDatabase(site.dataDir(name));
  const environment = {
    ...ENVIRONMENT,
    ENTRIES_DATABASE_URL: `postgres://entries@127.0.0.1:${database.port}/entries`,
    ENTRIES_TOKEN_SIGNING_KEY_B64: randomBytes(64).toString("base64"),
    ENTRIES_AUTH_STRING_HASH_KEY_B64: randomBytes(32).toString("base64"),
  };
  const args = [`--data-dir=${site.dataDir("external")}`];
  const times: number[] = [];
  try {
    for (let index = 0; index < LATER_STARTS; index++) {
      const server = await startServer(site.executable, args, environment, site.logFile);
      times.push(server.firstAnswerMs);
      await server.stop();
    }
  } finally {
    await database.stop();
  }
  return startFigure("start, external database", times, 150);
}

async function startDatabase(dataDir: string): Promise<{ port: number; stop(): Promise<void> }> {
  const programs = join(dataDir, "postgres");
  const programDir = join(programs, readdirSync(programs)[0] ?? "");
  const cluster = join(dataDir, "database");
  const user = choosePostgresUser(statSync(cluster));
  const prefix = reachPrefix(user, [dataDir, programDir]);
  const port = freePort();
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    log_destination: "stderr",
    logging_collector: "off",
    log_line_prefix: "",
    lc_messages: "C",
  };
  const place = { programDir, cluster, user, prefix, runtimeDir: createRuntimeDirectory(user, dataDir) };
  const { stop } = await startPostmaster(place, settings, silentLog);
  return { port, stop };
}

function startFigure(name: string, times: readonly number[], most: number): Figure {
  const [fastest, slowest] = [Math.min(...times), Math.max(...times)].map((ms) => ms.toFixed(0));
  return {
    name,
    value: median(times),
    unit: "ms",
    target: { most },
    detail: `median of ${times.length} to the first answer; ${fastest} to ${slowest} ms`,
  };
}
