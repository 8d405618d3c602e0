/** The server under test: the compiled program as a process of its own. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { HttpConnection, requestHead } from "./httpConnection.ts";

export interface ServerProcess {
  port: number;
  /** From the moment the program was started to its first answer. */
  firstAnswerMs: number;
  /** Resident memory of the server alone, without its database, in bytes. */
  residentBytes(): number;
  /** Asks it to stop, and waits. @throws Error when it did not end well */
  stop(): Promise<void>;
}

const START_LIMIT_MS = 60_000;
const HEARTBEAT = Buffer.from(requestHead("GET", "/api/heartbeat", {}, undefined));

/**
 * Starts the server and waits until it answers a heartbeat.
 *
 * @param environment its whole environment, apart from PATH
 * @param logFile its log is added to this file
 */
export async function startServer(
  executable: string,
  args: readonly string[],
  environment: Record<string, string>,
  logFile: string,
): Promise<ServerProcess> {
  const port = freePort();
  const log = openSync(logFile, "a");
  const startedAt = performance.now();
  const child = Bun.spawn([executable, `--port=${port}`, ...args], {
    env: { PATH: process.env.PATH ?? "", ...environment },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const killNow = () => child.kill("SIGKILL"); // its database notices
  process.once("exit", killNow);
  while (!(await isAnswering(port))) {
    if (child.exitCode !== null || performance.now() - startedAt > START_LIMIT_MS) {
      child.kill("SIGKILL");
      throw new Error(`the server did not start:\n${readFileSync(logFile, "utf8").slice(-2000)}`);
    }
    await Bun.sleep(1);
  }
  const firstAnswerMs = performance.now() - startedAt;
  return {
    port,
    firstAnswerMs,
    residentBytes: () => residentBytesOf(child.pid),
    async stop() {
      child.kill("SIGTERM");
      const status = await child.exited;
      process.off("exit", killNow);
      if (status !== 0) throw new Error(`the server ended with status ${status}; its log is ${logFile}`);
    },
  };
}

async function isAnswering(port: number): Promise<boolean> {
  const connection = await HttpConnection.open(port).catch(() => undefined);
  if (!connection) return false;
  const { status } = await connection.exchange(HEARTBEAT);
  connection.close();
  return status === 200;
}

/** A TCP port that nobody uses at the moment. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

function residentBytesOf(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) * 1024;
}

/** The socket of the database in a data directory, as PostgreSQL has noted it there. */
export function databaseSocket(dataDir: string): string {
  const [, , , port, directory] = readFileSync(join(dataDir, "database", "postmaster.pid"), "utf8").split("\n");
  return `${directory}/.s.PGSQL.${port}`;
}
