/** `backup`: the embedded database and its secrets as one file. */
import { writeBackup } from "../backup/backup.ts";
import type { Config } from "../config.ts";
import { shareEmbeddedPostgres } from "../db/embedded.ts";
import { readKeptSecrets, SECRET_FILES } from "../secrets.ts";
import { UsageError } from "./command.ts";
import { commandLog, isDatabaseMissing } from "./database.ts";
import { counted, shownBytes } from "./text.ts";

/**
 * Writes a backup, whether a server is running or not.
 *
 * @returns what was written, for the operator
 * @throws UsageError when the database is not the embedded one
 */
export async function backup(
  config: Config,
  file: string,
  options: { force?: boolean | undefined; withoutSecrets?: boolean | undefined; signal?: AbortSignal },
): Promise<string> {
  requireEmbedded(config, "backup", 'PostgreSQL\'s pg_dump: pg_dump --format=custom --file=entries.dump "<its URL>"');
  const { dataDir } = config;
  if (isDatabaseMissing(config)) throw new Error(`There is no database in ${dataDir} yet. The first start makes it.`);
  const secrets = options.withoutSecrets ? {} : readKeptSecrets(config);
  const { connection, stop } = await shareEmbeddedPostgres({ dataDir, log: commandLog() });
  try {
    const { force, signal } = options;
    const { schema, tables, bytes } = await writeBackup(connection, file, { force, secrets, signal });
    const rows = tables.reduce((sum, table) => sum + table.rows, 0);
    const size = `${counted(tables.length, "table")}, ${counted(rows, "row")}, schema version ${schema}`;
    return `Wrote ${file}, ${shownBytes(bytes)}: ${size}.\n${aboutSecrets(config, secrets)}`;
  } finally {
    await stop();
  }
}

/** @throws UsageError that names PostgreSQL's own way */
export function requireEmbedded({ database }: Config, command: string, instead: string): void {
  if (database.kind === "embedded") return;
  throw new UsageError(`"${command}" is for the embedded database only. For a database of your own use ${instead}`);
}

function aboutSecrets({ dataDir }: Config, secrets: Record<string, string>): string {
  const missing = SECRET_FILES.filter(({ name }) => secrets[name] === undefined);
  const held =
    missing.length === SECRET_FILES.length
      ? ""
      : `It holds secrets of the server (${Object.keys(secrets).join(", ")}): whoever reads it can forge tokens. Keep it safe.\n`;
  const kept =
    missing.length === 0
      ? ""
      : `It does not hold ${missing.map(({ env, name }) => `${name} (${env})`).join(", ")}. ` +
        `Keep what is set in the environment, or ${dataDir}/secrets, too: without it no password verifies.\n`;
  return `${held}${kept}`;
}
