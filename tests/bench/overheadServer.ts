/**
 * The server for overhead.ts: on an external database, without jobs and mail. With --plain it goes without limiter, CORS,
 * logging, metrics and the headers of every answer; everything else is the same.
 */
import { parseArgs } from "node:util";
import { createApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";
import { connectDatabase } from "../../src/db/connect.ts";
import type { Limiter } from "../../src/http/limits.ts";
import { createLog, silentLog } from "../../src/log.ts";
import { createMailer } from "../../src/mail/mailer.ts";
import { completeSecrets } from "../../src/secrets.ts";
import { createServices, type Services } from "../../src/services.ts";

const { values } = parseArgs({ options: { port: { type: "string" }, plain: { type: "boolean", default: false } } });
const loaded = loadConfig(process.env, { port: values.port });
if (!("config" in loaded)) throw new Error(loaded.problems.join("; "));
const { config } = loaded;
if (config.database.kind !== "external") throw new Error("it needs ENTRIES_DATABASE_URL");

const log = createLog(config.logLevel, false);
const complete = completeSecrets(config, config.dataDir, true);
const mailer = createMailer({ from: config.emailFrom, replyTo: config.emailReplyTo, outboxDir: config.dataDir }, log);
const services = await createServices(complete, connectDatabase(config.database, config, log), mailer, log);
const app = values.plain ? createApp(withoutSurroundings(services), undefined, () => {}) : createApp(services);
app.listen({ port: config.port, hostname: config.bindAddress, reusePort: false, development: false });
process.on("SIGTERM", () => process.exit(0));

function withoutSurroundings(services: Services): Services {
  const { limiter, ops } = services;
  const limit = { max: 1, periodSecs: 1 };
  const unlimited: Limiter = {
    ...limiter,
    take: (limitClass) => ({ allowed: true, limitClass, limit, remaining: 1, resetSecs: 1 }),
  };
  const requests = Object.assign(Object.create(ops.requests), { count() {} });
  return { ...services, limiter: unlimited, log: silentLog, ops: { ...ops, requests } };
}
