/** What a worker and the process that started it tell each other (see workers.ts). */
import type { SocketAddress } from "../db/embedded.ts";

/** Carries a `WorkerPlace` as JSON. Its name does not begin with ENTRIES_: it is no setting. */
const VARIABLE = "_ENTRIES_WORKER";

/** What a worker must know that the configuration does not say. */
export interface WorkerPlace {
  /** From 1 on, for the log. */
  number: number;
  /** The port that all workers share; 0 for the first one when it shall choose. */
  port: number;
  /** See openGetBodyBridge; node:http cannot share a port, so only the first worker has it. */
  getBodyPort: number | undefined;
  /** Its share of the connections to the database. */
  connectionsMax: number;
  /** The embedded database; undefined: an external one. */
  database: SocketAddress | undefined;
  /** Log lines are for a terminal. */
  isPretty: boolean;
}

/** What a worker says: that it listens, and from then on each second that it is alive. */
export type WorkerMessage = "alive" | { listening: ListeningPlace };

/** See RunningServer. */
export interface ListeningPlace {
  port: number;
  url: string;
  getBodyPort: number | undefined;
}

const ALIVE_EVERY_MS = 1000;

/** Undefined in a process that is no worker. */
export function workerPlace(): WorkerPlace | undefined {
  const text = process.env[VARIABLE];
  return text === undefined || process.send === undefined ? undefined : (JSON.parse(text) as WorkerPlace);
}

/** The environment of a worker. Only the parent talks to systemd. */
export function workerEnvironment(place: WorkerPlace): Record<string, string | undefined> {
  const { NOTIFY_SOCKET: _socket, WATCHDOG_USEC: _usec, WATCHDOG_PID: _pid, ...rest } = process.env;
  return { ...rest, [VARIABLE]: JSON.stringify(place) };
}

/** This program with its arguments, to be started once more. */
export function ownCommand(): string[] {
  const args = process.argv.slice(2);
  return Bun.isStandaloneExecutable
    ? [process.execPath, ...args]
    : [process.execPath, ...process.execArgv, Bun.main, ...args];
}

/** Tells the parent that this worker listens, and goes on telling it that it is alive. */
export function reportListening({ port, url, getBodyPort }: ListeningPlace): void {
  const tell = (message: WorkerMessage) => process.connected && process.send?.(message);
  tell({ listening: { port, url, getBodyPort } });
  setInterval(() => tell("alive"), ALIVE_EVERY_MS).unref();
}
