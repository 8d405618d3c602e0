/** C6, P1: sessions of the database that die at random under 8 writers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Db } from "../../src/db/query.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { runHistory } from "../support/histories.ts";
import { startTestServer } from "../support/server.ts";

let database: TestDatabase;
/** What polls and kills: connections that no server uses. */
let outside: Db;
beforeAll(async () => {
  database = await createTestDatabase();
  outside = database.connect();
  await database.db.end();
});
afterAll(() => outside.end());

/** Ends one session of the servers in the middle of its work, as a crash of that process would. */
async function killOneSession(random: () => number): Promise<void> {
  const busy = await outside<{ pid: number }[]>`
    select pid from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
      and query not like '%as kind%'
    order by pid`;
  const victim = busy[Math.floor(random() * busy.length)];
  if (victim) await outside`select pg_terminate_backend(${victim.pid})`;
  await Bun.sleep(5);
}

describe("C6: while sessions are killed", () => {
  test.each([11, 12, 13])(
    "no number is used twice, nothing acknowledged is lost, every request is answered, none with 500: history %i",
    async (seed) => {
      const servers = [await startTestServer({}, database), await startTestServer({}, database)] as const;
      const { writers, poller } = await runHistory(servers, outside, { seed, steps: 25, meanwhile: killOneSession });
      await poller.expectSynchronised();
      const answers = writers.flatMap((writer) => writer.answers);
      expect(answers).not.toBeEmpty();
      expect(answers.filter(({ status }) => status === 500)).toEqual([]);
      for (const id of writers.flatMap(({ created }) => created)) expect(poller.rows.has(id)).toBe(true);
      await Promise.all(servers.map((server) => server.stop()));
    },
  );

  test("all at once, ten times, under load: the server rides it out and answers everything within seconds", async () => {
    const servers = [await startTestServer({}, database), await startTestServer({}, database)] as const;
    let rounds = 0;
    const killAll = async () => {
      if (rounds++ < 10) {
        await outside`
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid()
            and query not like '%as kind%' and query not like '%pg_terminate_backend%'`;
      }
      await Bun.sleep(30);
    };
    const { writers, poller } = await runHistory(servers, outside, { seed: 14, steps: 60, meanwhile: killAll });
    await poller.expectSynchronised();
    const answers = writers.flatMap((writer) => writer.answers);
    expect(answers.filter(({ status }) => status === 500)).toEqual([]);
    expect(answers.filter(({ status }) => status === 503)).not.toBeEmpty();
    await Promise.all(servers.map((server) => server.stop()));
  });
});
