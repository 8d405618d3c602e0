/**
 * How fast entries are edited while many clients listen for changes elsewhere and two processes share the database, how
 * soon the listeners hear of an edit, and what a silent stream costs.
 */

import { openPool } from "./bare.ts";
import { baseline, type EditBench, figureOf, requireAllWritten, runEdits } from "./edits.ts";
import { type ExternalDatabase, startExternalDatabase } from "./externalDatabase.ts";
import type { EditTally } from "./load.ts";
import { findPgbench } from "./pgbench.ts";
import { type Figure, percentile } from "./report.ts";
import { type ServerProcess, startServer } from "./serverProcess.ts";
import { type Site, signUp } from "./site.ts";
import { countChanges } from "./stock.ts";
import type { ProbeTally } from "./watching.ts";
import { startWorker, type Worker } from "./worker.ts";

const STREAMS = 1_000;
/** Opened before the memory is looked at. */
const WARM_UP_STREAMS = 50;
const ROUNDS = 6;
const ROUND_SECS = 3;
const WARM_UP_SECS = 4;
const SETTLE_MS = 2_000;
const MIB = 1024 * 1024;

/** @param name of a data directory on which everything is stored and no server runs */
export async function measureStreams(site: Site, name: string): Promise<Figure[]> {
  const database = await startExternalDatabase(site.dataDir(name));
  const workers = [startWorker(), startWorker(), startWorker()] as const;
  const db = openPool(database.socketPath, 1, "postgres");
  const servers: ServerProcess[] = [];
  try {
    const start = async (dataDir: string) => {
      const server = await startSharing(site, dataDir, database);
      servers.push(server);
      return server;
    };
    const edited = await start(site.dataDir("shared-0"));
    const other = await start(site.dataDir("shared-1"));
    const { accessToken } = await signUp(edited.port, site.dataDir("shared-0"));
    const [load, bare, watcher] = workers;
    const target = { port: edited.port, accessToken };
    const memory = await measureMemory(edited, (count) => watcher.run("openStreams", { ...target, count }));
    const pgbench = findPgbench(site.directory);
    const bench = { target, socketPath: database.socketPath, db, load, bare, pgbench };
    return [...(await measureEditsBeside(bench, watcher, other.port)), memory];
  } finally {
    for (const worker of workers) worker.stop();
    await db.end({ timeout: 1 });
    await Promise.all(servers.map((server) => server.stop()));
    await database.stop();
  }
}

function startSharing(site: Site, dataDir: string, { environment }: ExternalDatabase): Promise<ServerProcess> {
  const raised = { ...environment, ENTRIES_MAX_STREAMS_PER_USER: "10000" };
  return startServer(site.executable, [`--data-dir=${dataDir}`], raised, site.logFile);
}

async function measureMemory(server: ServerProcess, open: (count: number) => Promise<void>): Promise<Figure> {
  await open(WARM_UP_STREAMS);
  await Bun.sleep(SETTLE_MS);
  const before = server.residentBytes();
  await open(STREAMS);
  await Bun.sleep(SETTLE_MS);
  const grown = server.residentBytes() - before;
  const detail = `${(grown / STREAMS / 1024).toFixed(1)} KiB each, silent`;
  return { name: `memory of ${STREAMS} streams`, value: grown / MIB, unit: "MiB", target: { most: 64 }, detail };
}

/** Edits as fast as it goes, all in one process, and a few more whose events are waited for. */
async function measureEditsBeside(bench: EditBench, watcher: Worker, otherPort: number): Promise<Figure[]> {
  const tallies: EditTally[] = [];
  const baselines: number[] = [];
  const probes: ProbeTally[] = [];
  let otherEdits = 0;
  const changesBefore = await countChanges(bench.db);
  const warmUp = await runEdits(bench, "reused", WARM_UP_SECS);
  otherEdits += (await baseline(bench, 1)).edits;
  for (let round = 0; round < ROUNDS; round++) {
    const seconds = ROUND_SECS;
    const [tally, probed] = await Promise.all([
      runEdits(bench, "reused", seconds),
      watcher.run("probe", { ...bench.target, otherPort, seconds }),
    ]);
    tallies.push(tally);
    probes.push(probed);
    const { edits, perSecond } = await baseline(bench, seconds);
    baselines.push(perSecond);
    otherEdits += edits + probed.edits;
  }
  requireAllWritten([warmUp, ...tallies], otherEdits, (await countChanges(bench.db)) - changesBefore);
  const name = `edits beside ${STREAMS} streams, two processes`;
  return [
    figureOf(name, tallies, baselines, 0.6),
    delayFigure(
      "edit to its event, same process",
      probes.flatMap(({ hereMs }) => hereMs),
    ),
    delayFigure(
      "edit to its event, other process",
      probes.flatMap(({ thereMs }) => thereMs),
      200,
    ),
  ];
}

function delayFigure(name: string, delaysMs: readonly number[], most?: number): Figure {
  const [p50, p99] = [percentile(delaysMs, 0.5), percentile(delaysMs, 0.99)];
  const detail = `p50 ${p50.toFixed(1)} ms of ${delaysMs.length}, while others edit at full speed`;
  const figure = { name: `${name}, p99`, value: p99, unit: "ms", detail };
  return most === undefined ? figure : { ...figure, target: { most } };
}
