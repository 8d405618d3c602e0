/**
 * `bun run bench`: measures the compiled server against its targets, in about eight minutes. Compared rates are
 * measured in turns in one run, so that their ratio holds on a slow or busy machine. Status 1 when a target is missed.
 *
 *     --json FILE    writes the figures to a file instead of printing them after the table
 *     --binary FILE  measures this program instead of building one
 *     --only PARTS   of: changes,edits,memory,overhead,reads,sign-ins,starts,streams,uploads
 */
import { parseArgs } from "node:util";
import { build } from "../../src/build.ts";
import { syncFileSystem } from "../../src/db/libc.ts";
import { openPool } from "./bare.ts";
import { measureBulkUpload } from "./bulkUpload.ts";
import { measureChanges } from "./changes.ts";
import { measureEdits } from "./edits.ts";
import { measureMemory } from "./memory.ts";
import { measureOverhead } from "./overhead.ts";
import { findPgbench } from "./pgbench.ts";
import { measureReads } from "./reads.ts";
import { describeMachine, type Figure, isMet, jsonOf, type Machine, tableOf } from "./report.ts";
import { databaseSocket } from "./serverProcess.ts";
import { measureSignIns } from "./signIns.ts";
import { makeWorkDirectory, POOLED_CONNECTIONS, type Site, signUp, siteAt } from "./site.ts";
import { measureExternalStarts, measureFirstStarts, measureLaterStarts, measureSize } from "./starts.ts";
import { EDITED, READ, store } from "./stock.ts";
import { measureStreams } from "./streams.ts";
import { startWorker } from "./worker.ts";

const PARTS = ["changes", "edits", "memory", "overhead", "reads", "sign-ins", "starts", "streams", "uploads"];
const SIGN_INS_AT_ONCE = 8;
/** The data directory that all but the first starts use. */
const DATA = "first-0";

async function run(site: Site, parts: readonly string[]): Promise<{ figures: Figure[]; machine: Machine }> {
  const figures: Figure[] = [];
  if (parts.includes("starts")) {
    tell("first starts");
    figures.push(measureSize(site.executable), ...(await measureFirstStarts(site)));
  }
  const load = await measureUnderLoad(site, parts);
  if (parts.includes("starts")) {
    tell("later starts");
    figures.push(...(await measureLaterStarts(site, DATA)), await measureExternalStarts(site, DATA));
  }
  if (parts.includes("memory")) {
    tell("memory");
    figures.push(...(await measureMemory(site, DATA)));
  }
  if (parts.includes("overhead")) {
    tell("overhead");
    figures.push(...(await measureOverhead(site, DATA)));
  }
  if (parts.includes("streams")) {
    tell("streams");
    figures.push(...(await measureStreams(site, DATA)));
  }
  return { figures: [...load.figures, ...figures], machine: load.machine };
}

/** Everything that one running server is asked. */
async function measureUnderLoad(site: Site, parts: readonly string[]) {
  const server = await site.start(DATA);
  const load = startWorker();
  const bare = startWorker();
  const { port } = server;
  const socketPath = databaseSocket(site.dataDir(DATA));
  const db = openPool(socketPath, POOLED_CONNECTIONS, "postgres");
  const pgbench = findPgbench(site.directory);
  try {
    tell("making accounts, containers and entries");
    const accounts = await Promise.all(
      Array.from({ length: SIGN_INS_AT_ONCE }, () => signUp(port, site.dataDir(DATA))),
    );
    for (const shape of [EDITED, READ]) await store(db, shape);
    await db.unsafe("vacuum analyze");
    await db.unsafe("checkpoint");
    const [setting] = await db.unsafe("show server_version");
    const target = { port, accessToken: accounts[0]?.accessToken ?? "" };
    const figures: Figure[] = [];
    if (parts.includes("reads")) {
      tell("reads");
      figures.push(...(await measureReads({ target, socketPath, connections: POOLED_CONNECTIONS, load, bare })));
    }
    if (parts.includes("changes")) {
      tell("changes");
      figures.push(...(await measureChanges({ target, socketPath, connections: POOLED_CONNECTIONS, db, load, bare })));
    }
    if (parts.includes("edits")) {
      tell("edits");
      figures.push(...(await measureEdits({ target, socketPath, db, load, bare, pgbench })));
    }
    if (parts.includes("sign-ins")) {
      tell("sign-ins");
      figures.push(...(await measureSignIns({ port, accounts, load, bare })));
    }
    if (parts.includes("uploads")) {
      tell("uploads");
      figures.push(...(await measureBulkUpload({ target, socketPath, db, load, bare })));
    }
    const resident = server.residentBytes() / 1024 ** 2;
    figures.push({ name: "resident memory after all that", value: resident, unit: "MiB", detail: "no target" });
    const baseline = pgbench?.version ?? "bare: postgres.js (pgbench is not installed)";
    return { figures, machine: describeMachine(baseline, String(setting?.server_version)) };
  } finally {
    load.stop();
    bare.stop();
    await db.end({ timeout: 1 });
    await server.stop();
  }
}

function tell(step: string): void {
  process.stderr.write(`bench: ${step}\n`);
}

const { values } = parseArgs({
  options: {
    json: { type: "string" },
    binary: { type: "string" },
    only: { type: "string", default: PARTS.join(",") },
  },
});
const parts = values.only.split(",");
const unknown = parts.filter((part) => !PARTS.includes(part));
if (unknown.length > 0) {
  console.error(`bench: --only knows ${PARTS.join(", ")}, but not ${unknown.join(", ")}`);
  process.exit(2);
}

const work = makeWorkDirectory();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
process.once("exit", () => work.remove());
let status = 1;
try {
  if (values.binary === undefined) tell("building");
  const executable = values.binary ?? (await build({ outDir: `${work.path}/dist`, isQuick: false }));
  syncFileSystem(work.path); // a program that is not on disk yet takes more memory
  const { figures, machine } = await run(siteAt(work.path, executable), parts);
  console.log(tableOf(figures, machine));
  if (values.json === undefined) console.log(`\n${jsonOf(figures, machine)}`);
  else await Bun.write(values.json, jsonOf(figures, machine));
  status = figures.every(isMet) ? 0 : 1;
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
}
process.exit(status);
