import { version } from "../../package.json";
import { MIGRATIONS } from "../db/migrate.ts";
import { POSTGRES_MAJOR } from "../db/postgresPack.ts";

/** A line for people, or with `json` an object for scripts. */
export function versionText(json = false): string {
  if (!json) return `entries-server ${version} (bun ${Bun.version})\n`;
  const facts = {
    version,
    bun: Bun.version,
    platform: `${process.platform}-${process.arch}`,
    embedded_postgresql: POSTGRES_MAJOR,
    schema_version: MIGRATIONS.at(-1)?.version ?? 0,
  };
  return `${JSON.stringify(facts)}\n`;
}
