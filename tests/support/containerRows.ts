/** What the tables hold of a container, read without the server. */
import { expect } from "bun:test";
import type { Executor } from "../../src/db/query.ts";

export interface StoredRow {
  kind: "container" | "category" | "entry";
  id: string;
  category_id: string | null;
  encrypted_blob: Uint8Array;
  version_nonce: bigint;
  deleted_at: bigint | null;
  sequence: bigint;
}

/** Rows of a container with a higher sequence number, lowest first, in one snapshot: what a synchronising client asks. */
export async function changesSince(db: Executor, container_id: string, cursor: bigint): Promise<StoredRow[]> {
  return db<StoredRow[]>`
    select 'container' as kind, id, null::uuid as category_id, encrypted_blob, version_nonce, deleted_at, sequence
    from containers where id = ${container_id} and sequence > ${cursor}
    union all
    select 'category', id, null, encrypted_blob, version_nonce, deleted_at, sequence
    from categories where container_id = ${container_id} and sequence > ${cursor}
    union all
    select 'entry', id, category_id, encrypted_blob, version_nonce, deleted_at, sequence
    from entries where container_id = ${container_id} and sequence > ${cursor}
    order by sequence`;
}

export interface StoredHead {
  last_sequence: bigint;
  live_entries: number;
  live_categories: number;
}

export async function headOf(db: Executor, container_id: string): Promise<StoredHead> {
  const [head] = await db<StoredHead[]>`
    select last_sequence, live_entries, live_categories from container_heads where container_id = ${container_id}`;
  if (!head) throw new Error("the container has no head");
  return head;
}

/** Sequence numbers by row id. */
export async function sequencesOf(db: Executor, container_id: string): Promise<Map<string, bigint>> {
  const rows = await changesSince(db, container_id, 0n);
  return new Map(rows.map(({ id, sequence }) => [id, sequence]));
}

/** C6, C11: no number twice, none beyond the last one, the counts are those of the live rows. */
export async function expectHeadIsExact(db: Executor, container_id: string): Promise<void> {
  const rows = await changesSince(db, container_id, 0n);
  const head = await headOf(db, container_id);
  const isLive = (kind: StoredRow["kind"]) => (row: StoredRow) => row.kind === kind && row.deleted_at === null;
  expect(head.live_entries).toBe(rows.filter(isLive("entry")).length);
  expect(head.live_categories).toBe(rows.filter(isLive("category")).length);
  expect(new Set(rows.map(({ sequence }) => sequence)).size).toBe(rows.length);
  expect(rows.at(-1)?.sequence ?? 0n).toBeLessThanOrEqual(head.last_sequence);
}

/** C6: a statement of that changes exactly these rows gives each of them a new number, and no number to any other. */
export async function expectNumbered(
  db: Executor,
  container_id: string,
  changedIds: () => Promise<readonly string[]>,
): Promise<void> {
  const before = await sequencesOf(db, container_id);
  const { last_sequence } = await headOf(db, container_id);
  const changed = await changedIds();
  const after = await sequencesOf(db, container_id);
  const numbered = [...after].filter(([id, sequence]) => before.get(id) !== sequence).map(([id]) => id);
  expect(numbered.sort()).toEqual([...changed].sort());
  for (const id of changed) expect(after.get(id) ?? 0n).toBeGreaterThan(last_sequence);
  await expectHeadIsExact(db, container_id);
}

/**
 * A checksum of every table, so that a test can tell that nothing changed. Challenges are left out: asking for one
 * makes one.
 */
export async function databaseDigest(db: Executor): Promise<string> {
  const tables = await db<{ name: string }[]>`
    select quote_ident(tablename) as name from pg_tables
    where schemaname = 'public' and tablename <> 'signin_challenges' order by tablename`;
  const parts = tables.map(
    ({ name }) => `select '${name}' as name, string_agg(t::text, ',' order by t::text) as rows from ${name} as t`,
  );
  const [digest] = await db.unsafe<{ digest: string }[]>(
    `select md5(string_agg(name || ':' || coalesce(rows, ''), ';' order by name)) as digest from (${parts.join(" union all ")}) as x`,
  );
  return digest?.digest ?? "";
}

/** Runs requests that must leave every table as it is. */
export async function expectUnchanged(db: Executor, requests: () => Promise<void>): Promise<void> {
  const before = await databaseDigest(db);
  await requests();
  expect(await databaseDigest(db)).toBe(before);
}
