/** What the tests of jobs need: a job by its name, many rows at once, and how many rows each statement removed. */
import type { Db } from "../../src/db/query.ts";
import { JOBS, type Job } from "../../src/jobs/jobs.ts";
import type { TestServer } from "../support/server.ts";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** A signal that never comes. */
export const GO_ON = new AbortController().signal;

export function jobNamed(name: string): Job {
  const job = JOBS.find((candidate) => candidate.name === name);
  if (!job) throw new Error(`there is no job ${name}`);
  return job;
}

/** Runs a job now, due or not. @returns what it says that it removed */
export function runJob({ services }: TestServer, name: string): Promise<number> {
  return jobNamed(name).run(services, GO_ON);
}

/** The server's clock and so many milliseconds, as a text for the database. */
export function inMs({ services }: TestServer, ms: number): string {
  return new Date(services.now() + ms).toISOString();
}

/** Accounts like an existing one, with ids and addresses of their own. @returns their ids */
export async function cloneUsers(
  db: Db,
  template_id: string,
  count: number,
  verification_deadline: string | null = null,
): Promise<string[]> {
  const rows = await db<{ id: string }[]>`
    insert into users
    select copy.*
    from
      users as template,
      generate_series(1, ${count}::int) as number,
      lateral jsonb_populate_record(
        template,
        jsonb_build_object(
          'id', gen_random_uuid(),
          'email', number || '-' || gen_random_uuid() || '@example.com',
          'verification_deadline', ${verification_deadline}::text
        )
      ) as copy
    where template.id = ${template_id}
    returning id`;
  return rows.map(({ id }) => id);
}

export async function countRows(db: Db, table: string, condition = "true"): Promise<number> {
  const [row] = await db.unsafe(`select count(*)::int as count from ${table} where ${condition}`);
  return Number(row?.count);
}

/** From now on notes how many rows of a table each statement removes. */
export async function noteDeletes(db: Db, table: string): Promise<{ sizes(): Promise<number[]> }> {
  await db
    .unsafe(`
      create table if not exists noted_deletes (table_name text, size int);
      create or replace function note_delete() returns trigger language plpgsql as $$
      begin
        insert into noted_deletes select tg_table_name, count(*) from removed having count(*) > 0;
        return null;
      end $$;
      create or replace trigger note_delete after delete on ${table}
        referencing old table as removed for each statement execute function note_delete();`)
    .simple();
  return {
    async sizes() {
      const rows = await db<{ size: number }[]>`
        select size from noted_deletes where table_name = ${table} order by size desc`;
      return rows.map(({ size }) => size);
    },
  };
}

/** @returns a function that reads the lines that were logged since */
export function followLog({ services, logLines }: TestServer): () => Record<string, unknown>[] {
  services.log.flush();
  const start = logLines.length;
  return () => {
    services.log.flush();
    const lines = logLines.slice(start).join("").split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line));
  };
}
