import schema from "../../sql/migrations/0001_schema.sql" with { type: "text" };
import accounts from "../../sql/migrations/0002_accounts.sql" with { type: "text" };
import sharing from "../../sql/migrations/0003_sharing.sql" with { type: "text" };
import type { Log } from "../log.ts";
import type { Db } from "./query.ts";

export interface Migration {
  version: number;
  name: string;
  text: string;
}

/** Every file of `sql/migrations`, in order. A released migration is never edited; a new one goes at the end. */
export const MIGRATIONS: readonly Migration[] = [
  { version: 1, name: "schema", text: schema },
  { version: 2, name: "accounts", text: accounts },
  { version: 3, name: "sharing", text: sharing },
];

/** The database was migrated by a newer server than this one. */
export class SchemaTooNew extends Error {
  override readonly name = "SchemaTooNew";
  constructor(found: number, known: number) {
    super(
      `The database has schema version ${found}, but this server knows versions up to ${known}. Install a newer entries-server.`,
    );
  }
}

/** The key of the advisory lock under which one process at a time migrates: "entries" in ASCII. */
const MIGRATION_LOCK = 0x656e7472696573n;

/** The version of the newest applied migration; 0 for an empty database or one of the reference's. */
export async function schemaVersion(db: Pick<Db, "unsafe">): Promise<number> {
  const [table] = await db.unsafe("select to_regclass('schema_migrations') is not null as exists");
  if (!table?.exists) return 0;
  const [row] = await db.unsafe("select coalesce(max(version), 0)::int as version from schema_migrations");
  return Number(row?.version);
}

/**
 * Brings the schema up to date. Each migration is one transaction; several processes may start at once, one of them
 * migrates and the others wait for it.
 *
 * @returns the migrations that were applied
 * @throws SchemaTooNew when the database is ahead of this server; nothing is changed then
 */
export async function migrate(db: Db, log: Log, migrations = MIGRATIONS): Promise<readonly Migration[]> {
  const newest = migrations.at(-1)?.version ?? 0;
  const found = await schemaVersion(db);
  if (found === newest) return [];
  if (found > newest) throw new SchemaTooNew(found, newest);

  const connection = await db.reserve();
  try {
    await connection.unsafe(`select pg_advisory_lock(${MIGRATION_LOCK})`);
    const current = await schemaVersion(connection); // another process may have migrated while this one waited
    const pending = migrations.filter((migration) => migration.version > current);
    for (const migration of pending) {
      const startedAt = performance.now();
      await connection.unsafe(transactionOf(migration)).simple();
      const duration_ms = Math.round(performance.now() - startedAt);
      log.info("migration applied", { version: migration.version, name: migration.name, duration_ms });
    }
    return pending;
  } catch (error) {
    await connection.unsafe("rollback").simple();
    throw error;
  } finally {
    await connection.unsafe(`select pg_advisory_unlock(${MIGRATION_LOCK})`).catch(() => {});
    connection.release();
  }
}

/** The migration and the note that it was applied, together or not at all. */
function transactionOf({ version, name, text }: Migration): string {
  return `begin;
    create table if not exists schema_migrations (
      version integer primary key,
      name text not null,
      applied_at timestamp not null default timezone('utc', now())
    );
    ${text}
    insert into schema_migrations (version, name) values (${version}, '${name}');
    commit;`;
}
