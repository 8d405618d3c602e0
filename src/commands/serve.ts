import { join } from "node:path";
import { version } from "../../package.json";
import { type App, createApp } from "../app.ts";
import type { Config } from "../config.ts";
import { checkQueries } from "../db/check.ts";
import { connectDatabase, waitForDatabase } from "../db/connect.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../db/embedded.ts";
import { migrate } from "../db/migrate.ts";
import { user as userQueries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { startJobs } from "../jobs/runner.ts";
import { createLog, type Log } from "../log.ts";
import { createMailer, type Mailer } from "../mail/mailer.ts";
import { type CompleteConfig, completeSecrets } from "../secrets.ts";
import { createServices } from "../services.ts";
import { watchLauncher } from "./launcher.ts";

/** How long a stop waits for running requests and the mail queue (decision P11). */
const DRAIN_LIMIT_MS = 30_000;
/** How long a stop first only tells busy clients, with their answers, that the connection will close. */
const GOODBYE_MS = 100;
/** How long a start waits for an external database. */
const DATABASE_WAIT_SECS = 60;

/** What launchers pass on arrives within milliseconds of the signal that they repeat; a person needs longer. */
const REPEATED_SIGNAL_MS = 500;

/**
 * Runs the server until it is told to stop.
 *
 * @param runsJobs false for one of several processes on a database that leaves the jobs to the others (decision P10)
 * @returns the exit status
 */
export async function serve(config: Config, runsJobs = true): Promise<number> {
  const log = createLog(config.logLevel, process.stdout.isTTY === true);
  const stopRequested = listenForStop(log);
  let isStopping = false;
  try {
    // A stop during the start ends it where it is: nobody was answered yet, and the database is made for worse.
    const server = await Promise.race([startServer(config, runsJobs, log), stopRequested]);
    const reason = "stop" in server ? await Promise.race([stopRequested, server.failed]) : server;
    isStopping = true;
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
    log.flush();
  }
}

interface StopReason {
  text: string;
  status: number;
}

/**
 * SIGTERM and SIGINT drain; a second signal ends the process at once (decision P11). The end of the launcher drains
 * too. Ctrl-C under `bun start` sends two signals at once, one from the terminal and one from bun: they count as one.
 */
function listenForStop(log: Log): Promise<StopReason> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const onSignal = (signal: string) => {
      const now = performance.now();
      firstAt ??= now;
      resolve({ text: signal, status: 0 });
      if (now - firstAt < REPEATED_SIGNAL_MS) return;
      log.warn("stopped at once", { reason: `a second signal, ${signal}` });
      process.exit(130);
    };
    process.on("SIGTERM", () => onSignal("SIGTERM"));
    process.on("SIGINT", () => onSignal("SIGINT"));
    watchLauncher(() => resolve({ text: "the command that started the server has ended", status: 0 }));
  });
}

interface RunningServer {
  /** Resolves when the server cannot go on. */
  failed: Promise<StopReason>;
  stop(): Promise<void>;
}

async function startServer(config: Config, runsJobs: boolean, log: Log): Promise<RunningServer> {
  const startedAt = performance.now();
  log.info("starting", { version, bun: Bun.version });
  const { db, embedded } = await openDatabase(config, log);
  try {
    await migrate(db, log);
    await checkQueries(db);
    const { has_any: hasAccounts } = await userQueries.has_any(db, {});
    const complete = completeSecrets(config, config.dataDir, hasAccounts);
    const mailer = openMailer(complete, log);
    const services = await createServices(complete, db, mailer, log);
    const app = createApp(services);
    listen(app, config);
    const jobs = runsJobs ? startJobs(app, services) : undefined;
    announce(app, config, embedded, startedAt, log);

    return {
      failed: failureOf(embedded),
      async stop() {
        const deadline = performance.now() + DRAIN_LIMIT_MS;
        services.lifecycle.isStopping = true;
        const jobsStopped = jobs?.stop(DRAIN_LIMIT_MS);
        await Bun.sleep(GOODBYE_MS);
        await services.liveChanges.stop().catch(() => {}); // streams would not end by themselves
        await Promise.race([app.server?.stop(), Bun.sleep(DRAIN_LIMIT_MS)]);
        const left = await mailer.drain(Math.max(0, deadline - performance.now()));
        if (left > 0) log.error("mails could not be sent before the stop", { count: left });
        await mailer.close();
        await jobsStopped;
        await services.revokedSessions.stop().catch(() => {});
        await db.end({ timeout: 5 });
        await embedded?.stop();
      },
    };
  } catch (error) {
    await db.end({ timeout: 1 }).catch(() => {});
    await embedded?.stop();
    throw error;
  }
}

/** Opens the pool, on an external database or on the embedded one, which is started first (decision P1). */
export async function openDatabase(config: Config, log: Log): Promise<{ db: Db; embedded?: EmbeddedPostgres }> {
  if (config.database.kind === "external") {
    const db = connectDatabase(config.database, config, log);
    await waitForDatabase(db, DATABASE_WAIT_SECS, log);
    return { db };
  }
  const embedded = await startEmbeddedPostgres({ dataDir: config.dataDir, log });
  return { db: connectDatabase(embedded.connection, config, log), embedded };
}

function openMailer(config: CompleteConfig, log: Log): Mailer {
  const outboxDir = join(config.dataDir, "outbox");
  if (!config.smtp) {
    log.info("no mail relay is set (ENTRIES_SMTP_ADDRESS): mails, passcodes included, become files", {
      directory: outboxDir,
    });
  }
  return createMailer(
    { from: config.emailFrom, replyTo: config.emailReplyTo, ...(config.smtp ? { smtp: config.smtp } : { outboxDir }) },
    log,
  );
}

/** @throws Error whose message says what to do about an address that cannot be had */
function listen(app: App, { port, bindAddress }: Config): void {
  try {
    // Elysia would let a second server take the same port and half of the requests, and show strangers our stack traces.
    app.listen({ port, hostname: bindAddress, reusePort: false, development: false });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const message = typeof code === "string" ? LISTEN_ERRORS[code] : undefined;
    throw message ? new Error(`Cannot listen on ${hostInUrl(bindAddress)}:${port}: ${message}`) : error;
  }
}

const LISTEN_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there. Stop it, or choose another port with --port or ENTRIES_PORT.",
  EADDRNOTAVAIL: "this machine does not have that address. Correct ENTRIES_BIND_ADDRESS.",
  EACCES: "this user may not use that port. Choose one above 1023 with --port or ENTRIES_PORT.",
};

function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function announce(app: App, config: Config, embedded: EmbeddedPostgres | undefined, startedAt: number, log: Log): void {
  log.info("listening", {
    url: `http://${hostInUrl(config.bindAddress)}:${app.server?.port}`,
    database: embedded ? `embedded PostgreSQL ${embedded.version} in ${config.dataDir}` : "external",
    duration_ms: Math.round(performance.now() - startedAt),
  });
}

function failureOf(embedded: EmbeddedPostgres | undefined): Promise<StopReason> {
  if (!embedded) return new Promise(() => {});
  return embedded.exited.then(({ message }) => ({ text: message, status: 1 }));
}
