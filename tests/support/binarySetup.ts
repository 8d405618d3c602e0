/** What the tests of the executable share: it is built once per file, and whatever a test starts ends with the test. */
import { afterAll, afterEach, beforeAll } from "bun:test";
import { join } from "node:path";
import { build } from "../../src/build.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { Client } from "./client.ts";
import { makeFolder, makeSubfolder, type ProcessOptions, removeFolder, ServerProcess } from "./executable.ts";

let base = "";
let executable = "";
const cleanUps: (() => unknown)[] = [];

/** To be called at the top of a test file. */
export function setUpBinary(): void {
  beforeAll(async () => {
    base = await makeFolder("entries-test-");
    executable = await build({ outDir: join(base, "built"), isQuick: true });
    await newFolder("home");
  });
  afterEach(async () => {
    for (const run of cleanUps.splice(0).reverse()) await run();
  });
  afterAll(() => removeFolder(base));
}

/** Calls `run` after the test, before what was handed over earlier. */
export function atEnd(run: () => unknown): void {
  cleanUps.push(run);
}

/** Most tests start on the database that an earlier one has made here, which saves two seconds each. */
export function homeFolder(): string {
  return join(base, "home");
}

/** An empty folder. */
export function newFolder(name: string): Promise<string> {
  return makeSubfolder(base, name);
}

export function dataDirOf(folder: string): string {
  return join(folder, "entries-data");
}

/** Runs the executable, in the home folder unless the options say otherwise. */
export function start(args: readonly string[], options: Partial<ProcessOptions> = {}): ServerProcess {
  const server = new ServerProcess([executable, ...args], { cwd: homeFolder(), ...options });
  atEnd(() => server.end());
  return server;
}

/** Runs a shell script in the home folder, in which `$0` is the executable and `$1` and so on are `args`. */
export function startInShell(script: string, ...args: string[]): ServerProcess {
  const server = new ServerProcess(["sh", "-c", script, executable, ...args], { cwd: homeFolder() });
  atEnd(() => server.end());
  return server;
}

/** A server on a free port. */
export function serve(options: Partial<ProcessOptions> = {}): ServerProcess {
  return start(["--port", "0"], options);
}

/** A command that ends by itself. */
export async function run(args: readonly string[], options: Partial<ProcessOptions> = {}) {
  const command = start(args, options);
  const status = await command.exited;
  return { status, stdout: command.stdout, stderr: command.stderr };
}

/** @param url of a server, as `listening` tells it */
export function clientOf(url: string, encoding: Encoding = "protobuf"): Client {
  return new Client((request) => fetch(request), encoding, url);
}

/** @returns the status. @throws Error when nobody answers */
export async function heartbeat(url: string): Promise<number> {
  return (await fetch(`${url}/api/heartbeat`)).status;
}
