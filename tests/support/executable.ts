/** The compiled server as a process of its own, in any folder, watched through what it logs. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPostmasterPid } from "../../src/db/dataDirectory.ts";
import { lookThrough } from "./loggedSecrets.ts";

export interface LogLine {
  time: string;
  level: string;
  event: string;
  [field: string]: unknown;
}

export interface ProcessOptions {
  cwd: string;
  /** Besides PATH, HOME and TMPDIR; nothing else is inherited. */
  env?: Record<string, string>;
  user?: { uid: number; gid: number };
  /** In a process group of its own, as a terminal starts it. */
  detached?: boolean;
}

/** How long anything may take that normally takes a second or two, on a machine that is busy with other things. */
const PATIENCE_MS = 20_000;
/** How long the output of an ended process is waited for. */
const OUTPUT_LIMIT_MS = 500;
/** How long `end` waits before it kills. */
const STOP_LIMIT_MS = 5_000;

/** A running command; for a server, what it logs. */
export class ServerProcess {
  stdout = "";
  stderr = "";
  readonly exited: Promise<number>;
  /** Resolves when nobody can write to its output any more. */
  readonly #outputEnded: Promise<unknown>;
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;

  constructor(command: readonly string[], { cwd, env = {}, user, detached = false }: ProcessOptions) {
    const { PATH = "", HOME = "", TMPDIR } = process.env;
    this.#child = Bun.spawn([...command], {
      ...user,
      cwd,
      detached,
      env: { PATH, HOME, ...(TMPDIR === undefined ? {} : { TMPDIR }), ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#outputEnded = Promise.all([
      forEachChunk(this.#child.stdout, (text) => {
        this.stdout += text;
      }),
      forEachChunk(this.#child.stderr, (text) => {
        this.stderr += text;
      }),
    ]);
    // A launcher that was killed leaves its output to the server below it.
    this.exited = this.#child.exited.then(async (status) => {
      await Promise.race([this.#outputEnded, Bun.sleep(OUTPUT_LIMIT_MS)]);
      for (const line of this.stdout.split("\n").filter((text) => text.startsWith('{"time"'))) lookThrough(line);
      return status;
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  logLines(): LogLine[] {
    const lines = this.stdout.split("\n").slice(0, -1);
    return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as LogLine);
  }

  /**
   * Waits for a line of the log.
   * @throws Error with all output when it ends without it or takes too long
   */
  async logged(event: string): Promise<LogLine> {
    const deadline = performance.now() + PATIENCE_MS;
    let isOver = false;
    this.#outputEnded.then(() => {
      isOver = true;
    });
    for (;;) {
      const isLast = isOver || performance.now() > deadline;
      const line = this.logLines().find((candidate) => candidate.event === event);
      if (line) return line;
      if (isLast) throw new Error(`the server never logged "${event}":\n${this.stdout}${this.stderr}`);
      await Bun.sleep(5);
    }
  }

  /** Waits until it listens. @returns its address, such as http://127.0.0.1:40123 */
  async listening(): Promise<string> {
    return String((await this.logged("listening")).url);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** As Ctrl-C in a terminal: to all processes of a detached one's group. */
  interruptGroup(): void {
    process.kill(-this.pid, "SIGINT");
  }

  /** Sends SIGTERM. @returns the exit status */
  stop(): Promise<number> {
    this.signal("SIGTERM");
    return this.exited;
  }

  /** For cleaning up: stops it, by force if need be. */
  async end(): Promise<void> {
    this.signal("SIGTERM");
    const force = setTimeout(() => this.signal("SIGKILL"), STOP_LIMIT_MS);
    await this.exited;
    clearTimeout(force);
  }
}

async function forEachChunk(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}

/** A zombie, which nobody has buried yet, is not alive. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** @returns whether the process has ended within the time */
export async function hasEnded(pid: number, limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (isAlive(pid)) {
    if (performance.now() > deadline) return false;
    await Bun.sleep(10);
  }
  return true;
}

/** The process id of the embedded PostgreSQL. @throws Error when none runs on this data directory */
export function databasePid(dataDir: string): number {
  const pid = readPostmasterPid(join(dataDir, "database"));
  if (pid === undefined || !isAlive(pid)) throw new Error(`no database runs in ${dataDir}`);
  return pid;
}

/** A new folder in the system's temporary one, which every user may enter. */
export async function makeFolder(prefix: string): Promise<string> {
  const path = mkdtempSync(join(tmpdir(), prefix));
  await chmod(path, 0o755);
  return path;
}

/** An empty folder inside another. */
export async function makeSubfolder(parent: string, name: string): Promise<string> {
  const path = join(parent, name);
  await mkdir(path);
  return path;
}

/** Removes a folder, with patience for a database in it that is still ending. */
export async function removeFolder(path: string): Promise<void> {
  const deadline = performance.now() + STOP_LIMIT_MS;
  while (existsSync(path)) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await Bun.sleep(50);
    }
  }
}
