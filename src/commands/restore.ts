/** `restore`: a new data directory from a backup, or a look at whether the backup is good. */
import { accessTokensEnd } from "../auth/session.ts";
import type { Header, TableSum } from "../backup/format.ts";
import { type Restored, restoreBackup, verifyBackup } from "../backup/restore.ts";
import type { Config } from "../config.ts";
import { SECRET_FILES } from "../secrets.ts";
import { requireEmbedded } from "./backup.ts";
import { commandLog } from "./database.ts";
import { columns, counted } from "./text.ts";

/**
 * Restores into the data directory of the settings.
 *
 * @returns what was restored, for the operator
 * @throws UsageError when the database is not the embedded one
 */
export async function restore(
  config: Config,
  file: string,
  { keepSessions = false, signal }: { keepSessions?: boolean | undefined; signal?: AbortSignal },
): Promise<string> {
  requireEmbedded(config, "restore", "PostgreSQL's pg_restore.");
  const revokedUntil = keepSessions ? undefined : accessTokensEnd({ config, now: Date.now });
  const restored = await restoreBackup(file, config.dataDir, revokedUntil, { log: commandLog(), signal });
  const { header, tables } = restored;
  return [
    rowCounts(tables),
    `Restored ${config.dataDir} from ${descriptionOf(header)}.\n`,
    "Clients will read their containers anew.\n",
    aboutSessions(restored),
    ...SECRET_FILES.map((secret) => aboutSecret(config, header, secret)),
  ].join("");
}

function aboutSessions({ endedSessions }: Restored): string {
  if (endedSessions === undefined) {
    return "Sessions were kept. If a server ran after the backup, those that were ended since are open again.\n";
  }
  return `Ended ${counted(endedSessions, "session")}: users sign in again. What they changed or used up since the backup is as it was.\n`;
}

function aboutSecret(config: Config, header: Header, { key, name, env }: (typeof SECRET_FILES)[number]): string {
  const held = header.secrets[name];
  const given = config[key]?.toBase64();
  if (held === undefined && given === undefined) {
    return `The backup does not hold ${name}: before the first start, put it into ${config.dataDir}/secrets, or set ${env}.\n`;
  }
  if (held === undefined || given === undefined || held === given) return "";
  return `${env} is set, and not to what the backup holds. It wins: unset it, or take the value that was used before.\n`;
}

/**
 * Restores into a temporary directory and compares every table.
 *
 * @returns what was found, for the operator
 * @throws Error that names the tables that came back different
 */
export async function verify(file: string, signal?: AbortSignal): Promise<string> {
  const { header, tables, different } = await verifyBackup(file, { log: commandLog(), signal });
  if (different.length > 0) throw new Error(`These tables came back different: ${different.join(", ")}.`);
  return `${rowCounts(tables)}Every row came back as it was: ${file} is good, ${descriptionOf(header)}.\n`;
}

function rowCounts(tables: readonly TableSum[]): string {
  return columns([["TABLE", "ROWS"], ...tables.map(({ name, rows }) => [name, String(rows)])]);
}

function descriptionOf({ created, server, schema }: Header): string {
  return `a backup of ${created.slice(0, 16).replace("T", " ")} UTC (server ${server}, schema version ${schema})`;
}
