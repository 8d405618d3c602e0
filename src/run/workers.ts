/**
 * Several processes on one port (decision P13), which the kernel shares out new connections to. The parent answers no
 * request: it runs the embedded database, starts the workers, restarts one that ended, and stops them all.
 */
import type { Subprocess } from "bun";
import type { Config } from "../config.ts";
import type { Log } from "../log.ts";
import { readCertificateAgain, requireFreePort } from "./listener.ts";
import { DRAIN_LIMIT_MS, type RunningServer, type StopReason, startOwnDatabase } from "./server.ts";
import {
  type ListeningPlace,
  ownCommand,
  type WorkerMessage,
  type WorkerPlace,
  workerEnvironment,
} from "./workerProcess.ts";

/** Fewer would wait for each other's statements; more do not make a worker faster. */
const CONNECTIONS_MIN = 3;

/** A worker that ends so often within a minute is not restarted: the whole server stops. */
const CRASHES_MAX = 5;
const CRASH_WINDOW_MS = 60_000;
const RESTART_DELAY_MS = 100;
/** A worker that has said nothing for so long hangs, and is killed. */
const SILENCE_MAX_MS = 30_000;
const LOOK_EVERY_MS = 5_000;
/** How much longer than the drain of a worker its end may take. */
const STOP_SPARE_MS = 10_000;

/**
 * @param count of workers, at least 2
 * @param isPretty log lines are for a terminal
 * @throws Error whose message is for the operator; nothing is left running
 */
export async function startWorkers(
  config: Config,
  count: number,
  { log, isPretty }: { log: Log; isPretty: boolean },
): Promise<RunningServer> {
  requireFreePort(config);
  const connectionsMax = Math.max(CONNECTIONS_MIN, Math.ceil(config.databaseConnectionsMax / count));
  const embedded =
    config.database.kind === "embedded" ? await startOwnDatabase(config, count, connectionsMax, log) : undefined;
  const failed = Promise.withResolvers<StopReason>();
  embedded?.exited.then(({ message }) => failed.resolve({ text: message, status: 1 }));
  const common = { connectionsMax, database: embedded?.connection, isPretty };
  const { port: wantedPort, getBodyPort: wantedGetBodyPort } = config;
  const firstPlace = { ...common, port: wantedPort, getBodyPort: wantedGetBodyPort, number: 1 };
  const first = new WorkerSlot(firstPlace, log, failed.resolve);
  const workers = [first];
  const killAll = () => {
    for (const worker of workers) worker.kill();
  };
  process.on("exit", killAll); // a stop that was cut short leaves nobody behind

  async function stop(): Promise<void> {
    await Promise.all(workers.map((worker) => worker.stop()));
    process.off("exit", killAll);
    await embedded?.stop();
  }

  try {
    // The first one chooses free ports, brings the schema up to date, and tells whether the others can start at all.
    const { port, url, getBodyPort } = await first.listening;
    Object.assign(firstPlace, { port, getBodyPort });
    for (let number = 2; number <= count; number++) {
      workers.push(new WorkerSlot({ ...common, port, getBodyPort: undefined, number }, log, failed.resolve));
    }
    await Promise.all(workers.map(({ listening }) => listening));
    const database = embedded ? `embedded PostgreSQL ${embedded.version} in ${config.dataDir}` : "external";
    return { port, url, getBodyPort, database, failed: failed.promise, reload, stop };
  } catch (error) {
    await stop();
    throw error;
  }

  /** A bad certificate is told once, here. */
  function reload(): void {
    if (!readCertificateAgain(config, log)) return;
    for (const worker of workers) worker.signal("SIGHUP");
  }
}

/** One of the workers: its process, and the next one whenever that ends, until `stop`. */
class WorkerSlot {
  /** Resolves when it listens for the first time; rejects when it ends before. */
  readonly listening: Promise<ListeningPlace>;
  readonly #firstListening = Promise.withResolvers<ListeningPlace>();
  /** Looked at when a process starts. */
  readonly #place: Readonly<WorkerPlace>;
  readonly #log: Log;
  readonly #onFailure: (reason: StopReason) => void;
  #child: Subprocess;
  #hasListened = false;
  #isStopping = false;
  /** When it last said something; in the future as long as nothing is expected of it. */
  #lastWordAt = Number.POSITIVE_INFINITY;
  #lastLookAt = performance.now();
  #restart: ReturnType<typeof setTimeout> | undefined;
  /** When it ended, as far as that still counts. */
  #crashes: number[] = [];

  constructor(place: Readonly<WorkerPlace>, log: Log, onFailure: (reason: StopReason) => void) {
    this.#place = place;
    this.#log = log;
    this.#onFailure = onFailure;
    this.listening = this.#firstListening.promise;
    this.listening.catch(() => {}); // whoever started it hears of it in time
    this.#child = this.#start();
    setInterval(() => this.#killIfSilent(), LOOK_EVERY_MS).unref();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  kill(): void {
    this.#isStopping = true;
    clearTimeout(this.#restart);
    this.#child.kill("SIGKILL");
  }

  /** Lets it drain; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#restart);
    this.#child.kill("SIGTERM");
    const force = setTimeout(() => this.#child.kill("SIGKILL"), DRAIN_LIMIT_MS + STOP_SPARE_MS);
    await this.#child.exited;
    clearTimeout(force);
  }

  /** In a session of its own, so that Ctrl-C in a terminal reaches the parent alone. */
  #start(): Subprocess {
    this.#lastWordAt = Number.POSITIVE_INFINITY;
    const child = Bun.spawn(ownCommand(), {
      env: workerEnvironment(this.#place),
      detached: true,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
      serialization: "json",
      ipc: (message: WorkerMessage) => this.#hear(message),
    });
    passLinesOn(child.stdout);
    child.exited.then((status) => this.#onEnd(status));
    return child;
  }

  #hear(message: WorkerMessage): void {
    this.#lastWordAt = performance.now();
    if (message === "alive") return;
    this.#hasListened = true;
    this.#firstListening.resolve(message.listening);
  }

  #killIfSilent(): void {
    if (this.#isStopping) return; // stop() has a limit of its own
    const now = performance.now();
    const hasSlept = now - this.#lastLookAt > 2 * LOOK_EVERY_MS; // the machine, and so the worker
    this.#lastLookAt = now;
    if (hasSlept) this.#lastWordAt = Math.max(this.#lastWordAt, now);
    if (now - this.#lastWordAt < SILENCE_MAX_MS) return;
    this.#log.error("a worker hangs and is killed", { worker: this.#place.number });
    this.#child.kill("SIGKILL");
  }

  #onEnd(status: number): void {
    const { number } = this.#place;
    this.#firstListening.reject(new Error(`Worker ${number} ended before it listened (status ${status}).`));
    if (this.#isStopping || !this.#hasListened) return;
    const now = performance.now();
    this.#crashes = [...this.#crashes.filter((time) => now - time < CRASH_WINDOW_MS), now];
    const count = this.#crashes.length;
    if (count > CRASHES_MAX) {
      this.#onFailure({ text: `Worker ${number} ended ${count} times within a minute.`, status: 1 });
      return;
    }
    const delayMs = RESTART_DELAY_MS * 2 ** (count - 1);
    this.#log.error("a worker ended and is restarted", { worker: number, status, delay_ms: delayMs });
    this.#restart = setTimeout(() => {
      this.#child = this.#start();
    }, delayMs);
  }
}

/** Whole lines only, so that those of several workers do not mix. */
async function passLinesOn(stdout: ReadableStream<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stdout) {
    const text = rest + decoder.decode(chunk, { stream: true });
    const end = text.lastIndexOf("\n") + 1;
    rest = text.slice(end);
    if (end > 0) process.stdout.write(text.slice(0, end));
  }
}
