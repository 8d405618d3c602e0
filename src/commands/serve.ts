import { join } from "node:path";
import { createApp } from "../app.ts";
import type { Config } from "../config.ts";
import { checkQueries } from "../db/check.ts";
import { connectDatabase, waitForDatabase } from "../db/connect.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../db/embedded.ts";
import { migrate } from "../db/migrate.ts";
import { user as userQueries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { createLog, type Log } from "../log.ts";
import { createMailer, type Mailer } from "../mail/mailer.ts";
import { type CompleteConfig, completeSecrets } from "../secrets.ts";
import { createServices } from "../services.ts";
import { watchLauncher } from "./launcher.ts";

/** How long a stop waits for running requests and the mail queue (decision P11). */
const DRAIN_LIMIT_MS = 30_000;
/** How long a start waits for an external database. */
const DATABASE_WAIT_SECS = 60;

/** Runs the server until it is told to stop. @returns the exit status */
export async function serve(config: Config): Promise<number> {
  const log = createLog(config.logLevel, process.stdout.isTTY === true);
  const stopRequested = listenForStop();
  let server: RunningServer | undefined;
  try {
    server = await startServer(config, log);
    const reason = await Promise.race([stopRequested, server.failed]);
    log.info("stopping", { reason: reason.text });
    await server.stop();
    return reason.status;
  } catch (error) {
    log.error("the server cannot start", { reason: error instanceof Error ? error.message : String(error) });
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

/** SIGTERM and SIGINT drain; a second signal ends the process at once. So does the end of the launcher. */
function listenForStop(): Promise<StopReason> {
  return new Promise((resolve) => {
    let isStopping = false;
    const onSignal = (signal: string) => {
      if (isStopping) process.exit(130);
      isStopping = true;
      resolve({ text: signal, status: 0 });
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

async function startServer(config: Config, log: Log): Promise<RunningServer> {
  const startedAt = performance.now();
  const { db, embedded } = await openDatabase(config, log);
  try {
    await migrate(db, log);
    await checkQueries(db);
    const { exist: hasAccounts } = await userQueries.exist(db, {});
    const complete = completeSecrets(config, config.dataDir, hasAccounts);
    const mailer = openMailer(complete, log);
    const services = await createServices(complete, db, mailer, log);
    const app = createApp(services);
    app.listen({ port: config.port, hostname: config.bindAddress });
    announce(config, embedded, startedAt, log);

    return {
      failed: failureOf(embedded),
      async stop() {
        const deadline = performance.now() + DRAIN_LIMIT_MS;
        await Promise.race([app.server?.stop(), Bun.sleep(DRAIN_LIMIT_MS)]);
        const left = await mailer.drain(Math.max(0, deadline - performance.now()));
        if (left > 0) log.error("mails could not be sent before the stop", { count: left });
        await mailer.close();
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

function announce(config: Config, embedded: EmbeddedPostgres | undefined, startedAt: number, log: Log): void {
  const host = config.bindAddress.includes(":") ? `[${config.bindAddress}]` : config.bindAddress;
  log.info("listening", {
    url: `http://${host}:${config.port}`,
    database: embedded ? `embedded PostgreSQL ${embedded.version} in ${config.dataDir}` : "external",
    duration_ms: Math.round(performance.now() - startedAt),
  });
}

function failureOf(embedded: EmbeddedPostgres | undefined): Promise<StopReason> {
  if (!embedded) return new Promise(() => {});
  return embedded.exited.then(({ message }) => ({ text: message, status: 1 }));
}
