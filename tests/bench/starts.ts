/** How long a start takes, and how large the server is, on disk and in memory. */
import { statSync } from "node:fs";
import { startExternalDatabase } from "./externalDatabase.ts";
import { type Figure, median } from "./report.ts";
import { type ServerProcess, startServer } from "./serverProcess.ts";
import type { Site } from "./site.ts";

const FIRST_STARTS = 3;
const LATER_STARTS = 9;
/** After the first answer, what a start leaves behind has settled by then. */
const IDLE_MS = 3000;
const MIB = 1024 * 1024;
const BINARY_BYTES_MAX = 140_000_000;

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
  const database = await startExternalDatabase(site.dataDir(name));
  const args = [`--data-dir=${site.dataDir("external")}`];
  const times: number[] = [];
  try {
    for (let index = 0; index < LATER_STARTS; index++) {
      const server = await startServer(site.executable, args, database.environment, site.logFile);
      times.push(server.firstAnswerMs);
      await server.stop();
    }
  } finally {
    await database.stop();
  }
  return startFigure("start, external database", times, 150);
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
