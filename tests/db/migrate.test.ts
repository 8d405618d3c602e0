import { beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { MIGRATIONS, migrate, SchemaTooNew, schemaVersion } from "../../src/db/migrate.ts";
import type { Db } from "../../src/db/query.ts";
import { silentLog } from "../../src/log.ts";
import { createTestDatabase } from "../support/database.ts";
import referenceSchema from "../support/referenceSchema.sql" with { type: "text" };

const ANN = "018f3c5e-7b1a-7c3d-9e2f-000000000001";
const BEN = "018f3c5e-7b1a-7c3d-9e2f-000000000002";
const BOX = "018f3c5e-7b1a-7c3d-9e2f-0000000000a0";
const OTHER_BOX = "018f3c5e-7b1a-7c3d-9e2f-0000000000b0";
/** Every table that outlives the adoption. signin_nonces and user_otps hold minutes-old one-time values. */
const KEPT_TABLES = [
  "users",
  "user_flags",
  "user_preferences",
  "user_keystores",
  "blacklisted_tokens",
  "containers",
  "categories",
  "entries",
  "container_access_keys",
  "container_accept_keys",
  "container_share_invites",
  "user_deletion_requests",
  "user_deletion_request_container_keys",
  "job_registry",
]; // prettier-ignore

async function referenceDatabase(): Promise<Db> {
  const { db } = await createTestDatabase("template0");
  await db.unsafe(referenceSchema).simple();
  return db;
}

function userRow(id: string, email: string, isVerified: boolean): string {
  return `insert into users values ('${id}', '${email}', ${isVerified}, '${id}', '\\x3042', '2026-01-31 08:15:00.123456',
    '$argon2id$v=19$m=128,t=2,p=1$oKGio6SlpqeoqaqrrK2urw$TzHoikZ/cgVFcpcXUMvseFA9m+qMiMXVG7Vr+29kgmY',
    '\\x01', 1, -2, 3, '\\x02', 4, 5, 6, '\\x03', '\\x04', 7, 8, 9, 'recovery hash', '\\x05', '\\x06');`;
}

async function fill(db: Db): Promise<void> {
  const child = (last: string) => `018f3c5e-7b1a-7c3d-9e2f-0000000000${last}`;
  await db
    .unsafe(`${userRow(ANN, "Ann@Example.com", true)} ${userRow(BEN, "ben@example.com", false)}
    insert into user_flags values ('${ANN}', true), ('${BEN}', false);
    insert into user_preferences values ('${ANN}', '\\x0a', 9223372036854775807), ('${BEN}', '', -1);
    insert into user_keystores values ('${ANN}', '\\x0b', 0), ('${BEN}', '\\x0c', 1);
    insert into signin_nonces values ('Ann@Example.com', -5), ('ben@example.com', 6);
    insert into user_otps values ('Ann@Example.com', '01234567', '2026-01-31 08:15:00');
    insert into blacklisted_tokens values ('\\xaabb', '2027-01-01 00:00:00.000001');
    insert into containers values ('${BOX}', '\\x11', 1, '2026-01-31 08:15:00.123456', null),
      ('${OTHER_BOX}', '', 2, '2026-01-31 08:15:00.000001', '2026-02-01 00:00:00');
    insert into categories values ('${child("a1")}', '${BOX}', '\\x12', 3, '2026-01-31 08:15:00', null),
      ('${child("a2")}', '${BOX}', '', 4, '2026-01-31 08:15:00', '2026-02-01 00:00:00');
    insert into entries values ('${child("a3")}', '${BOX}', '${child("a1")}', '\\x13', 5, '2026-01-31 08:15:00', null),
      ('${child("a4")}', '${BOX}', null, '', 6, '2026-01-31 08:15:00', '2026-02-01 00:00:00'),
      ('${child("b3")}', '${OTHER_BOX}', '${child("a1")}', '\\x14', 7, '2026-01-31 08:15:00', null);
    insert into container_access_keys values ('${child("c1")}', '${BOX}', '\\x15', false), ('${child("c2")}', '${BOX}', '\\x16', true);
    insert into container_accept_keys values ('${child("c3")}', '${BOX}', '\\x17', '2026-03-01 00:00:00', true);
    insert into container_share_invites values ('${child("d1")}', 'Ann@Example.com', '\\x18', '\\x19', '\\x1a', '\\x1b',
      '\\x1c', '\\x1d', '\\x1e', '\\x1f', '${ANN}', '${BEN}', 353);
    insert into user_deletion_requests values ('${BEN}', '2026-02-07 00:00:00');
    insert into user_deletion_request_container_keys values ('${child("c1")}', '${BEN}', '2026-02-14 00:00:00');
    insert into job_registry values ('Delete Users', '2026-01-31 00:00:00');`)
    .simple();
}

/** Columns that the migrations take away or add. */
const CHANGED_COLUMNS = [
  "created_timestamp",
  "is_verified",
  "verification_deadline",
  "sequence",
  "token_epoch",
  "refuses_reference_tokens",
  "claimed_until",
  "last_result",
  "last_duration_ms",
  "failed_runs",
];

/** Rows as JSON without what the migrations change on purpose. */
async function contents(db: Db): Promise<Record<string, unknown>> {
  const tables: Record<string, unknown> = {};
  for (const table of KEPT_TABLES) {
    const rows = await db.unsafe(
      `select row from (select to_jsonb(t) - array['${CHANGED_COLUMNS.join("', '")}'] as row from ${table} t) as kept
       order by row::text`,
    );
    tables[table] = rows.map(({ row }) => JSON.parse(String(row).startsWith("{") ? String(row) : JSON.stringify(row)));
  }
  return tables;
}

const withLowerCasedAddress = (tables: Record<string, unknown>) =>
  JSON.parse(JSON.stringify(tables).replaceAll("Ann@Example.com", "ann@example.com"));

describe("a database of the reference is adopted (decisions, second promise)", () => {
  let db: Db;
  let before: Record<string, unknown>;

  beforeAll(async () => {
    db = await referenceDatabase();
    await fill(db);
    before = await contents(db);
    await migrate(db, silentLog);
  });

  test("no row is lost and no value is changed but the letter case of addresses (W10)", async () => {
    expect(await contents(db)).toEqual(withLowerCasedAddress(before));
  });

  test("E6: no two indexes are on the same columns", async () => {
    const rows = await db.unsafe(
      `select indrelid::regclass::text as table_name, indkey::text as columns, count(*)::int as count from pg_index
       where indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace) and indexprs is null
       group by indrelid, indkey::text, pg_get_expr(indpred, indrelid) having count(*) > 1`,
    );
    expect([...rows]).toEqual([]);
  });

  test("E6: what jobs look for by time has an index", async () => {
    const rows = await db.unsafe(
      `select indrelid::regclass::text || '.' || attname as column from pg_index
       join pg_attribute on attrelid = indrelid and attnum = indkey[0]`,
    );
    const columns = rows.map(({ column }) => column);
    for (const column of [
      "blacklisted_tokens.token_expiration",
      "user_deletion_requests.ready_for_deletion_time",
      "user_deletion_request_container_keys.delete_me_time",
      "user_otps.expiration",
      "users.verification_deadline",
      "sessions.expiration",
      "entries.deleted_at",
      "categories.deleted_at",
    ]) {
      expect(columns).toContain(column);
    }
  });

  test("A13: a verified account has no deadline, an unverified one has seven days from its creation", async () => {
    const rows = await db.unsafe("select id, verification_deadline::text as deadline from users order by id");

    expect(rows.map(({ deadline }) => deadline)).toEqual([null, "2026-02-07 08:15:00.123456"]);
  });

  test("C6: every row has a sequence number of its own, and the container knows the highest", async () => {
    const rows = await db.unsafe(
      `select container_id, array_agg(sequence order by sequence)::text as numbers from (
         select id as container_id, sequence from containers union all
         select container_id, sequence from categories union all select container_id, sequence from entries
       ) as all_rows group by container_id order by container_id`,
    );
    const heads = await db.unsafe(
      "select container_id, last_sequence::int as last from container_heads order by container_id",
    );

    expect(rows.map(({ numbers }) => numbers)).toEqual(["{1,2,3,4,5}", "{1,2}"]);
    expect(heads.map(({ last }) => last)).toEqual([5, 2]);
  });

  test("C11: live rows are counted, tombstones are not", async () => {
    const heads = await db.unsafe("select live_entries, live_categories from container_heads order by container_id");

    expect(heads.map(({ live_entries, live_categories }) => ({ live_entries, live_categories }))).toEqual([
      { live_entries: 1, live_categories: 1 },
      { live_entries: 1, live_categories: 0 },
    ]);
  });

  test("W8: public keys may have 4096 bytes, not one more", async () => {
    await db.unsafe("update users set public_key = $1 where id = $2", [Buffer.alloc(4096), ANN]);

    await expect(
      db.unsafe("update users set public_key = $1 where id = $2", [Buffer.alloc(4097), ANN]),
    ).rejects.toThrow();
  });

  test("migrating again changes nothing", async () => {
    expect(await migrate(db, silentLog)).toEqual([]);
  });

  test("an adopted schema and a fresh one have the same tables and columns", async () => {
    const columns = `select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns
      where table_schema = 'public' order by table_name, column_name`;
    const fresh = await createTestDatabase();

    expect([...(await db.unsafe(columns))]).toEqual([...(await fresh.db.unsafe(columns))]);
  });
});

describe("W10: addresses that differ only in letter case", () => {
  test("stop the migration before it changes anything, and their ids are listed", async () => {
    const db = await referenceDatabase();
    await db.unsafe(`${userRow(ANN, "Ann@example.com", true)} ${userRow(BEN, "ann@Example.com", true)}`).simple();
    const before = await contents(db);

    const failure = await migrate(db, silentLog).then(
      () => "none",
      (error: Error) => error.message,
    );

    expect(failure).toContain(ANN);
    expect(failure).toContain(BEN);
    expect(failure).not.toContain("@");
    expect(await contents(db)).toEqual(before);
    expect(await schemaVersion(db)).toBe(0);
  });
});

describe("migrations", () => {
  test("every file in sql/migrations is in the list, in order", () => {
    const files = readdirSync(join(import.meta.dir, "../../sql/migrations")).sort();

    expect(files).toEqual(MIGRATIONS.map(({ version, name }) => `${String(version).padStart(4, "0")}_${name}.sql`));
  });

  test("P1: a schema that is newer than the server is refused", async () => {
    const { db } = await createTestDatabase();
    await db.unsafe("insert into schema_migrations (version, name) values (9999, 'future')");

    await expect(migrate(db, silentLog)).rejects.toThrow(SchemaTooNew);
  });

  test("P1: of several processes that start at once, one migrates and the others wait for it", async () => {
    const { connect } = await createTestDatabase("template0");
    const pools = Array.from({ length: 4 }, connect);

    const applied = await Promise.all(pools.map((pool) => migrate(pool, silentLog)));

    expect(applied.map((list) => list.length).sort()).toEqual([0, 0, 0, MIGRATIONS.length]);
  });

  test("a migration that fails leaves nothing behind", async () => {
    const { db } = await createTestDatabase();
    const newest = MIGRATIONS.length;
    const broken = { version: newest + 1, name: "broken", text: "create table half (id int); select 1 / 0;" };

    expect(
      await migrate(db, silentLog, [...MIGRATIONS, broken]).then(
        () => "done",
        () => "failed",
      ),
    ).toBe("failed");
    expect(await schemaVersion(db)).toBe(newest);
    expect((await db.unsafe("select to_regclass('half') as found"))[0]?.found).toBeNull();
    expect(await migrate(db, silentLog)).toEqual([]); // the connection is usable and the lock is free
  });
});
