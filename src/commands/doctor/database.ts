import type { Config } from "../../config.ts";
import { isDatabaseUnavailable, OTHER_CONNECTIONS } from "../../db/connect.ts";
import { EmbeddedPostgresError, readServerPid } from "../../db/dataDirectory.ts";
import { MIGRATIONS, schemaVersion } from "../../db/migrate.ts";
import { admin as queries, user as userQueries } from "../../db/queries.ts";
import type { Db } from "../../db/query.ts";
import { failureCode } from "../../jobs/failure.ts";
import { silentLog } from "../../log.ts";
import { isDatabaseMissing, openDatabase } from "../database.ts";
import { type Finding, ok, problem, warning } from "./check.ts";

/** What other checks want to know of the database; undefined where it could not be asked. */
export interface DatabaseFacts {
  hasAccounts: boolean | undefined;
}

const POSTGRES_MIN = 15;
const SECOND = 1_000_000;
/** Beyond, jobs and tokens of several servers get in each other's way, or are about to. Microseconds. */
const CLOCK_WARNING = 2 * SECOND;
const CLOCK_PROBLEM = 60 * SECOND;

/** Opens the database as a command does and looks at it. @param facts resolved as soon as they are known */
export async function checkDatabase(
  config: Config,
  facts: PromiseWithResolvers<DatabaseFacts>,
): Promise<readonly Finding[]> {
  try {
    if (isDatabaseMissing(config)) {
      facts.resolve({ hasAccounts: false });
      return [ok(`there is none in ${config.dataDir} yet; the first start makes it.`)];
    }
    const { db, isOfServer, close } = await openDatabase(config, silentLog, 0);
    try {
      return [runBy(config, isOfServer), ...(await examine(config, db, facts))];
    } finally {
      await close();
    }
  } catch (error) {
    return [problem(reasonOf(config, error))];
  } finally {
    facts.resolve({ hasAccounts: undefined }); // unless it is known
  }
}

function runBy({ database, dataDir }: Config, isOfServer: boolean): Finding {
  if (database.kind === "external") return ok("it answers.");
  if (isOfServer)
    return ok(`the embedded one in ${dataDir} is run by the server with process id ${readServerPid(dataDir)}.`);
  return ok(`the embedded one in ${dataDir} is not running; it was started for this check and can be.`);
}

async function examine(
  config: Config,
  db: Db,
  facts: PromiseWithResolvers<DatabaseFacts>,
): Promise<readonly Finding[]> {
  const askedAt = Date.now() * 1000;
  const state = await queries.database_settings(db, {});
  const answeredAt = Date.now() * 1000;
  const found = await schemaVersion(db);
  const isUsable = found === newestMigration();
  facts.resolve({ hasAccounts: isUsable ? (await userQueries.has_any(db, {})).has_any : undefined });
  return [
    checkVersion(state.server_version_num),
    checkSchema(found, state.may_create),
    checkClock(Number(state.now), askedAt, answeredAt),
    ...checkEncoding(state.server_encoding),
    ...(config.database.kind === "external" ? checkConnections(config, state.connections_max) : []),
    ...checkDurability(state.fsync),
    ...checkEncryption(state.is_exposed),
  ];
}

/** @param versionNumber as PostgreSQL's setting server_version_num */
export function checkVersion(versionNumber: number): Finding {
  const major = Math.floor(versionNumber / 10_000);
  const shown = `PostgreSQL ${major}.${versionNumber % 10_000}`;
  if (major >= POSTGRES_MIN) return ok(`${shown}.`);
  return problem(`it is ${shown}, this server needs ${POSTGRES_MIN} or newer. Upgrade it.`);
}

function newestMigration(): number {
  return MIGRATIONS.at(-1)?.version ?? 0;
}

/** @param mayCreate the role may make tables */
export function checkSchema(found: number, mayCreate: boolean): Finding {
  const newest = newestMigration();
  if (found === newest) return ok(`schema version ${found}, up to date.`);
  if (found > newest) {
    return problem(`schema version ${found} is newer than this program's (${newest}). Install a newer entries-server.`);
  }
  if (!mayCreate) {
    return problem(
      `schema version ${found} must become ${newest}, but this role may not create tables. As the database's owner: grant create on schema public to that role.`,
    );
  }
  return warning(`schema version ${found}; the next start, or "entries-server migrate", brings it to ${newest}.`);
}

/** All in microseconds since the epoch. The database's time was read between two looks at this machine's clock. */
export function checkClock(theirs: number, askedAt: number, answeredAt: number): Finding {
  const difference = theirs < askedAt ? askedAt - theirs : Math.max(0, theirs - answeredAt);
  const secs = `${(difference / SECOND).toFixed(1)} s`;
  if (difference < CLOCK_WARNING) return ok("its clock and this machine's agree.");
  const text = `its clock and this machine's are ${secs} apart. Set both by NTP.`;
  return difference < CLOCK_PROBLEM ? warning(text) : problem(text);
}

function checkEncoding(encoding: string): Finding[] {
  if (encoding === "UTF8") return [];
  return [problem(`its encoding is ${encoding}, not UTF8. Create the database anew with encoding 'UTF8'.`)];
}

/** The embedded one is started with room for its server. */
export function checkConnections(
  { databaseConnectionsMax }: Pick<Config, "databaseConnectionsMax">,
  available: number,
): Finding[] {
  const needed = databaseConnectionsMax + OTHER_CONNECTIONS;
  if (needed <= available) return [];
  return [
    warning(
      `a server may open ${needed} connections, but it takes ${available}. Lower ENTRIES_DB_MAX_CONNECTIONS or raise its max_connections.`,
    ),
  ];
}

function checkDurability(fsync: string): Finding[] {
  return fsync === "on" ? [] : [warning("fsync is off: a power cut can destroy it. Set fsync = on.")];
}

function checkEncryption(isExposed: boolean): Finding[] {
  if (!isExposed) return [];
  return [warning("the connection crosses a network unencrypted. Add ?sslmode=verify-full to ENTRIES_DATABASE_URL.")];
}

/** The database's own words may quote the user's name; a code and our words do. */
function reasonOf({ database }: Config, error: unknown): string {
  if (error instanceof EmbeddedPostgresError) return error.message;
  const code = failureCode(error);
  const where = database.kind === "embedded" ? "the data directory" : "ENTRIES_DATABASE_URL or ENTRIES_DB_*";
  const known = REASONS[code];
  if (known) return `${known} (${code}). Check ${where}.`;
  if (isDatabaseUnavailable(error)) return `it does not answer (${code}). Does it run, and does ${where} name it?`;
  return `it refuses (${code}). Check ${where} and its log.`;
}

const REASONS: Readonly<Record<string, string>> = {
  "28P01": "the password is wrong",
  "28000": "the role is not let in",
  "3D000": "there is no database of that name",
  "42501": "the role has too few rights",
  "53300": "it has no connection left for this role",
  ECONNRESET: "it cuts the connection: is it a PostgreSQL, and does it offer TLS if sslmode asks for that?",
  ENOTFOUND: "there is no host of that name",
};
