import { version } from "../../package.json";
import type { Config } from "../config.ts";
import { createLog, type Log } from "../log.ts";
import { outboxDirOf, type RunningServer, type StopReason, startServer } from "../run/server.ts";
import { createServiceManager } from "../run/serviceManager.ts";
import { reportListening, type WorkerPlace, workerPlace } from "../run/workerProcess.ts";
import { startWorkers } from "../run/workers.ts";
import { watchLauncher } from "./launcher.ts";

/** What launchers pass on arrives within milliseconds of the signal that they repeat; a person needs longer. */
const REPEATED_SIGNAL_MS = 500;

export interface ServeOptions {
  /** false for one of several servers on a database that leaves the jobs to the others (decision P10). */
  runsJobs: boolean;
  /** How many processes shall answer requests (decision P13). */
  workers: number;
}

/**
 * Runs the server until it is told to stop. A worker is this same program, started once more.
 *
 * @returns the exit status
 */
export async function serve(config: Config, options: ServeOptions): Promise<number> {
  const place = workerPlace();
  const isPretty = place?.isPretty ?? process.stdout.isTTY === true;
  const log = createLog(config.logLevel, isPretty);
  try {
    if (place) return await serveAsWorker(config, place, options, log);
    return await serveAsMain(config, options, isPretty, log);
  } finally {
    log.flush();
  }
}

async function serveAsMain(
  config: Config,
  { runsJobs, workers }: ServeOptions,
  isPretty: boolean,
  log: Log,
): Promise<number> {
  const startedAt = performance.now();
  const serviceManager = createServiceManager(log);
  let reload = () => {};
  const stopRequested = listenForSignals(log, isPretty, () => reload());
  log.info("starting", { version, bun: Bun.version });
  if (!config.smtp) {
    log.info("no mail relay is set (ENTRIES_SMTP_ADDRESS): mails, passcodes included, become files", {
      directory: outboxDirOf(config),
    });
  }
  const starting =
    workers > 1 ? startWorkers(config, workers, { log, isPretty }) : startServer(config, { runsJobs, log });
  return runUntilStopped(starting, stopRequested, log, {
    onListening(server) {
      log.info("listening", {
        url: server.url,
        get_body_port: server.getBodyPort,
        workers: workers > 1 ? workers : undefined,
        database: server.database,
        duration_ms: Math.round(performance.now() - startedAt),
      });
      reload = () => {
        serviceManager.reloading();
        server.reload();
        serviceManager.ready();
      };
      serviceManager.ready();
    },
    onStopping: serviceManager.stopping,
  });
}

/** Its parent tells of it, so its own comings and goings are for the debug log. */
function serveAsWorker(config: Config, place: WorkerPlace, { runsJobs }: ServeOptions, log: Log): Promise<number> {
  let reload = () => {};
  const stopRequested = new Promise<StopReason>((resolve) => {
    const stop = (text: string) => resolve({ text, status: 0 });
    // The parent repeats what a service manager may have told everybody. It alone decides to stop at once.
    process.on("SIGTERM", () => stop("SIGTERM"));
    process.on("SIGINT", () => stop("SIGINT"));
    process.on("SIGHUP", () => reload());
    process.on("disconnect", () => stop("the parent process has ended"));
  });
  const { port, getBodyPort, connectionsMax } = place;
  const share = { ...config, port, getBodyPort, databaseConnectionsMax: connectionsMax };
  const starting = startServer(share, { runsJobs, log, worker: place });
  return runUntilStopped(
    starting,
    stopRequested,
    { ...log, info: log.debug },
    {
      onListening(server) {
        reload = server.reload;
        reportListening(server);
      },
      onStopping() {},
    },
  );
}

interface Milestones {
  onListening(server: RunningServer): void;
  onStopping(): void;
}

async function runUntilStopped(
  starting: Promise<RunningServer>,
  stopRequested: Promise<StopReason>,
  log: Log,
  { onListening, onStopping }: Milestones,
): Promise<number> {
  let isStopping = false;
  try {
    // A stop during the start ends it where it is: nobody was answered yet, and the database is made for worse.
    const server = await Promise.race([starting, stopRequested]);
    if ("stop" in server) onListening(server);
    const reason = "stop" in server ? await Promise.race([stopRequested, server.failed]) : server;
    isStopping = true;
    onStopping();
    if (reason.status === 0) log.info("stopping", { reason: reason.text });
    else log.error("stopping", { reason: reason.text });
    if ("stop" in server) await server.stop();
    return reason.status;
  } catch (error) {
    const event = isStopping ? "the stop failed" : "the server cannot start";
    log.error(event, { reason: error instanceof Error ? error.message : String(error) });
    return 1;
  } finally {
    log.info("stopped");
  }
}

/**
 * SIGTERM and SIGINT drain; a second signal ends the process at once (decision P11). The end of the launcher drains
 * too. Ctrl-C under `bun start` sends two signals at once, one from the terminal and one from bun: they count as one.
 * SIGHUP reloads; but when a terminal sends it, the terminal has been closed.
 */
function listenForSignals(log: Log, isTerminal: boolean, reload: () => void): Promise<StopReason> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const stop = (signal: string) => {
      const now = performance.now();
      firstAt ??= now;
      resolve({ text: signal, status: 0 });
      if (now - firstAt < REPEATED_SIGNAL_MS) return;
      log.warn("stopped at once", { reason: `a second signal, ${signal}` });
      process.exit(130);
    };
    process.on("SIGTERM", () => stop("SIGTERM"));
    process.on("SIGINT", () => stop("SIGINT"));
    process.on("SIGHUP", () => (isTerminal ? stop("SIGHUP") : reload()));
    watchLauncher(() => resolve({ text: "the command that started the server has ended", status: 0 }));
  });
}
