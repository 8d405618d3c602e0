/**
 * `bun run demo`: the server's main job, end to end. Builds the executable, starts it in an empty folder, and lives
 * through a household's day with a budget of 2,000 entries: sign-up, two devices, both encodings, a crash, a restart.
 *
 *     bun run demo                    builds for itself
 *     bun run demo --binary PATH      takes an executable that is already there
 */
import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "../../src/build.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import {
  databasePid,
  hasEnded,
  isAlive,
  makeFolder,
  makeSubfolder,
  removeFolder,
  ServerProcess,
} from "../support/executable.ts";
import { Outbox } from "../support/outbox.ts";
import { UNLIMITED } from "../support/socket.ts";
import { AccountStory } from "./account.ts";
import { type BudgetRow, readBudget } from "./budget.ts";
import { type Interrupted, settleUnanswered, writeUntilKilled } from "./crash.ts";
import { demand } from "./demand.ts";
import { Household } from "./household.ts";
import { SharingStory } from "./sharing.ts";
import { compare, contest, deleteSome, editFromTwoDevices, inParallel } from "./story.ts";
import { count, say, timed } from "./telling.ts";

const BUDGET = join(import.meta.dir, "budget.csv");
const ENCODINGS: readonly Encoding[] = ["protobuf", "json"];
const NAMES: Record<Encoding, string> = { protobuf: "protobuf", json: "JSON" };
const SHARED_ENTRIES = 300;
/** So many must be acknowledged before the server is killed. */
const WRITES_BEFORE_KILL = 1_000;
const DATABASE_END_LIMIT_MS = 5_000;

const running = new Set<ServerProcess>();
let cleaning: Promise<void> | undefined;

function start(executable: string, folder: string, port: string): ServerProcess {
  demand(cleaning === undefined, "it was interrupted");
  const server = new ServerProcess([executable, "--port", port], { cwd: folder, env: UNLIMITED });
  running.add(server);
  return server;
}

const megabytes = (path: string) => `${(statSync(path).size / 1e6).toFixed(1)} MB`;

async function tellStory(base: string, encoding: Encoding, outbox: Outbox, rows: BudgetRow[]): Promise<Household> {
  say(`\nA household whose devices speak ${NAMES[encoding]}:`);
  const categories = [...new Set(rows.map(({ category }) => category))].filter((name) => name !== "");
  const [household, opened] = await timed(() => Household.open(base, encoding, outbox, categories));
  say(`  signed up on the laptop and signed in on the phone, with the passcodes of two mails  (${opened})`);

  const [, stored, secs] = await timed(() => inParallel(rows, (row) => household.create(row)));
  const rate = count(Math.round(rows.length / secs));
  say(
    `  stored ${count(rows.length)} entries in ${categories.length} categories, encrypted by the laptop  (${stored}, ${rate} a second)`,
  );
  const [same, compared] = await timed(() => compare(household, household.phone));
  say(`  the phone read them all, and all ${count(same)} decrypt to what the file says  (${compared})`);

  await changeAtOnce(household);
  for (const device of [household.laptop, household.phone]) await compare(household, device);
  say(`  both devices read it all again: ${count(household.expected.size)} rows are right, edits included`);
  return household;
}

async function tellAccountStory(base: string, encoding: Encoding, outbox: Outbox): Promise<void> {
  say(`\nAn account whose devices speak ${NAMES[encoding]}:`);
  await new AccountStory(base, encoding, outbox, say).tell();
}

async function tellSharingStory(base: string, encoding: Encoding, outbox: Outbox, rows: BudgetRow[]): Promise<void> {
  say(`\nTwo accounts that share budgets, whose devices speak ${NAMES[encoding]}:`);
  await new SharingStory(base, encoding, outbox, say).tell(rows.slice(0, SHARED_ENTRIES));
}

async function changeAtOnce(household: Household): Promise<void> {
  const [edits, edited] = await timed(() => editFromTwoDevices(household));
  say(`  both devices made ${count(edits)} edits side by side  (${edited})`);
  const [wins, contested] = await timed(() => contest(household));
  say(
    `  both edited the same entry at once, ${wins.laptop + wins.phone} times; exactly one won, the laptop ${wins.laptop} times, the phone ${wins.phone} times;`,
  );
  say(`    the other got OUT_OF_DATE each time, fetched, and put its change on top of the winner's  (${contested})`);
  const [deleted, removed] = await timed(() => deleteSome(household));
  say(
    `  the laptop deleted ${deleted} entries; edits of them by the phone, which had not heard of it, were refused  (${removed})`,
  );
}

async function crash(server: ServerProcess, dataDir: string, households: Household[]): Promise<Interrupted[]> {
  say("\nA crash:");
  const database = databasePid(dataDir);
  let isKilled = false;
  let acknowledged = 0;
  const onAcknowledged = () => {
    acknowledged++;
    if (isKilled || acknowledged < WRITES_BEFORE_KILL) return;
    isKilled = true;
    server.signal("SIGKILL");
  };
  const all = await Promise.all(
    households.map((household) => writeUntilKilled(household, onAcknowledged, () => isKilled)),
  );
  await server.exited;
  const [created, edited, unanswered] = [
    all.reduce((sum, one) => sum + one.created, 0),
    all.reduce((sum, one) => sum + one.edited, 0),
    all.reduce((sum, one) => sum + one.unanswered.size, 0),
  ];
  say(`  kill -9 of the server while both households were writing`);
  say(
    `    ${count(created)} new entries and ${count(edited)} edits had been acknowledged, ${unanswered} writes got no answer`,
  );
  demand(unanswered > 0, "the server was not killed in the middle of writes");
  const [isGone, took] = await timed(() => hasEnded(database, DATABASE_END_LIMIT_MS));
  demand(isGone, `the database of the killed server still runs as process ${database}`);
  say(`  its database, process ${database}, ended with it  (${took})`);
  return all;
}

async function checkAfterCrash(interrupted: Interrupted): Promise<void> {
  const { household, unanswered } = interrupted;
  const stored = await settleUnanswered(interrupted);
  const rows = await compare(household, household.phone);
  say(
    `  ${count(rows)} rows of the ${NAMES[household.phone.client.encoding]} household are right: no acknowledged write is lost, damaged or doubled`,
  );
  say(`    of its ${unanswered.size} writes without an answer ${stored} had been stored, whole`);
}

async function refuseSecond(executable: string, folder: string, base: string): Promise<void> {
  say("\nA second server in the same folder:");
  const second = start(executable, folder, "0");
  const status = await second.exited;
  const reason = String(second.logLines().find(({ level }) => level === "error")?.reason);
  demand(status === 1 && reason.includes("already uses the data directory"), `it ended with ${status}: ${reason}`);
  say(`  refused: ${reason}`);
  const heartbeat = await fetch(`${base}/api/heartbeat`);
  demand(heartbeat.status === 200, `the first server then answered its heartbeat with ${heartbeat.status}`);
}

async function stop(server: ServerProcess, dataDir: string): Promise<void> {
  const database = databasePid(dataDir);
  const [status, took] = await timed(() => server.stop());
  demand(status === 0, `after SIGTERM the server ended with status ${status}`);
  demand(!isAlive(database), `after SIGTERM the database still runs as process ${database}`);
  say(`\nSIGTERM: the server ended with status 0, and its database before it  (${took})`);
}

/** @returns the path of the executable */
async function prepare(work: string, given: string | undefined): Promise<string> {
  if (given !== undefined) {
    const executable = resolve(given);
    demand(existsSync(executable), `there is no executable ${executable}`);
    say(`Took ${executable}, ${megabytes(executable)}`);
    return executable;
  }
  const [executable, took] = await timed(() => build({ outDir: join(work, "built"), isQuick: true }));
  say(`Built the executable, ${megabytes(executable)}  (${took})`);
  return executable;
}

async function demo(work: string, given: string | undefined): Promise<void> {
  const executable = await prepare(work, given);
  const folder = await makeSubfolder(work, "empty");
  const dataDir = join(folder, "entries-data");
  let server = start(executable, folder, "0");
  const [base, started] = await timed(() => server.listening());
  say(`Started it in the empty folder ${folder}; it listens on ${base}, with a PostgreSQL of its own  (${started})`);
  // The demo works like a hundred people behind one address, which the usual limits are there to stop.
  say(`Its rate limits are raised, by ${Object.keys(UNLIMITED).length} variables ENTRIES_…_LIMITER_MAX_PER_PERIOD`);
  const rows = await readBudget(BUDGET);
  demand(rows.length >= 2_000, `the budget has no more than ${rows.length} entries`);

  const outbox = new Outbox(dataDir);
  const households: Household[] = [];
  for (const encoding of ENCODINGS) households.push(await tellStory(base, encoding, outbox, rows));
  for (const encoding of ENCODINGS) await tellAccountStory(base, encoding, outbox);
  for (const encoding of ENCODINGS) await tellSharingStory(base, encoding, outbox, rows);
  const interrupted = await crash(server, dataDir, households);

  server = start(executable, folder, new URL(base).port);
  const [, restarted] = await timed(() => server.listening());
  say(`  started again in the same folder  (${restarted})`);
  for (const one of interrupted) await checkAfterCrash(one);
  await refuseSecond(executable, folder, base);
  await stop(server, dataDir);
}

/** Ends what still runs and removes what was made. */
function cleanUp(work: string): Promise<void> {
  const end = async () => {
    await Promise.all([...running].map((server) => server.end()));
    await removeFolder(work);
  };
  cleaning ??= end();
  return cleaning;
}

/** What the server complained about, to look into a failure. */
function complaints(): string {
  const texts = [...running].flatMap((server) => [...server.stdout.split("\n").filter(isComplaint), server.stderr]);
  return texts.filter((text) => text !== "").join("\n");
}

const isComplaint = (line: string) => /"level":"(warn|error)"/.test(line);

const { values } = parseArgs({ options: { binary: { type: "string" } } });
const work = await makeFolder("entries-demo-");
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, async () => {
    await cleanUp(work);
    say("demo: failed: it was interrupted");
    process.exit(1);
  });
}
try {
  const [, took] = await timed(() => demo(work, values.binary).finally(() => cleanUp(work)));
  say(`\nAll that in ${took}.\ndemo: ok`);
} catch (error) {
  say(`\n${complaints()}\ndemo: failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
