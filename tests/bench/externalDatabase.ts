/** A database that runs by itself: the one of a data directory, so that several servers can share it. */
import { randomBytes } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { startPostmaster } from "../../src/db/postgresProcess.ts";
import { choosePostgresUser, createRuntimeDirectory, reachPrefix } from "../../src/db/postgresUser.ts";
import { silentLog } from "../../src/log.ts";
import { freePort } from "./serverProcess.ts";
import { ENVIRONMENT } from "./site.ts";

export interface ExternalDatabase {
  /** The environment of a server that reaches it over TCP. All of them have the same secrets. */
  environment: Record<string, string>;
  /** The same database over a unix socket. */
  socketPath: string;
  stop(): Promise<void>;
}

/** Starts the database of a data directory that no server uses at the moment. */
export async function startExternalDatabase(dataDir: string): Promise<ExternalDatabase> {
  const programs = join(dataDir, "postgres");
  const programDir = join(programs, readdirSync(programs)[0] ?? "");
  const cluster = join(dataDir, "database");
  const user = choosePostgresUser(statSync(cluster));
  const prefix = reachPrefix(user, [dataDir, programDir]);
  const port = freePort();
  const runtimeDir = createRuntimeDirectory(user, dataDir);
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: runtimeDir,
    log_destination: "stderr",
    logging_collector: "off",
    log_line_prefix: "",
    lc_messages: "C",
  };
  const { stop } = await startPostmaster({ programDir, cluster, user, prefix, runtimeDir }, settings, silentLog);
  const environment = {
    ...ENVIRONMENT,
    ENTRIES_DATABASE_URL: `postgres://entries@127.0.0.1:${port}/entries`,
    ENTRIES_TOKEN_SIGNING_KEY_B64: randomBytes(64).toString("base64"),
    ENTRIES_AUTH_STRING_HASH_KEY_B64: randomBytes(32).toString("base64"),
  };
  return { environment, socketPath: join(runtimeDir, `.s.PGSQL.${port}`), stop };
}
