/** `bun start` and its relatives: a signal to the command that a person started stops the server and its database. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { databasePid, hasEnded, isAlive, makeFolder, removeFolder, ServerProcess } from "./support/executable.ts";

const REPO = join(import.meta.dir, "..");
/** Whoever stops a server waits no longer than this. */
const STOP_LIMIT_MS = 3_000;

const BUN_START = [process.execPath, "start"];
/** npm runs the Bun of node_modules; it asks no registry. */
const NPX_START = ["npx", "--offline", "bun", "start"];
const NPM_START = ["npm", "start", "--offline"];
const hasNpm = Bun.which("npm") !== null && Bun.which("npx") !== null;

let checkout = "";
let running: { command: ServerProcess; server: number } | undefined;

beforeAll(async () => {
  checkout = await makeFolder("entries-test-");
  for (const name of ["src", "sql", "package.json", "bun.lock", "bunfig.toml", "tsconfig.json"]) {
    cpSync(join(REPO, name), join(checkout, name), { recursive: true });
  }
  symlinkSync(join(REPO, "node_modules"), join(checkout, "node_modules"));
});
afterEach(async () => {
  if (running && isAlive(running.server)) process.kill(running.server, "SIGKILL");
  await running?.command.end();
  running = undefined;
});
afterAll(() => removeFolder(checkout));

/** Starts the server by a command, as from a terminal. */
async function startBy(words: readonly string[]) {
  const command = new ServerProcess(words, { cwd: checkout, env: { ENTRIES_PORT: "0" }, detached: true });
  await command.logged("listening");
  const dataDir = join(checkout, "entries-data");
  const server = Number(readFileSync(join(dataDir, "server.lock"), "utf8"));
  running = { command, server };
  expect(server).not.toBe(command.pid);
  return { command, server, database: databasePid(dataDir) };
}

async function expectStopped({ command, server, database }: Awaited<ReturnType<typeof startBy>>): Promise<void> {
  expect(await hasEnded(server, STOP_LIMIT_MS)).toBe(true);
  expect(await hasEnded(database, 0)).toBe(true);
  await command.logged("stopped");
  expect(command.stdout).not.toContain("stopped at once");
}

for (const [name, words, isThere] of [
  ["bun start", BUN_START, true],
  ["npx bun start", NPX_START, hasNpm],
  ["npm start", NPM_START, hasNpm],
] as const) {
  describe.if(isThere)(`P11: a server that was started by "${name}" is drained and ends`, () => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      test(`when that command gets ${signal}`, async () => {
        const started = await startBy(words);
        started.command.signal(signal);
        await expectStopped(started);
      });
    }

    test("on Ctrl-C, which reaches every process of the chain", async () => {
      const started = await startBy(words);
      started.command.interruptGroup();
      await expectStopped(started);
    });
  });
}

test("P11: a server that no package script started may outlive the shell that put it in the background", async () => {
  const started = await startBy(["sh", "-c", `"${process.execPath}" src/main.ts & sleep 1`]);
  expect(await started.command.exited).toBe(0);
  expect(await hasEnded(started.server, 1_000)).toBe(false);
  process.kill(started.server, "SIGTERM");
  await expectStopped(started);
});
