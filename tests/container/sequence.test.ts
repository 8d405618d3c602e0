/**
 * C6: sequence numbers. A client that only ever asks for rows with a higher number than it has seen must end up with
 * exactly the rows of the container, whatever is written meanwhile and whatever dies.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Db } from "../../src/db/query.ts";
import type { Answer } from "../support/client.ts";
import { anyDevice, postEntry } from "../support/containerCalls.ts";
import { headOf, sequencesOf } from "../support/containerRows.ts";
import { Poller, runHistory } from "../support/histories.ts";
import { overtake, someoneWaits } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
/** A second process on the same database. */
let sibling: TestServer;
/** What polls and kills: connections that no server uses. */
let outside: Db;
beforeAll(async () => {
  server = await startTestServer();
  sibling = await startTestServer({}, server.database);
  outside = server.database.connect();
});
afterAll(async () => {
  await outside.end();
  await sibling.stop();
  await server.stop();
});

const EXPECTED_REFUSALS = [
  "OUT_OF_DATE",
  "FOREIGN_KEY_DOES_NOT_EXIST",
  "ENTRY_DOES_NOT_EXIST",
  "CATEGORY_DOES_NOT_EXIST",
];

describe("C6: a poller beside 8 writers in two processes", () => {
  test.each([1, 2, 3, 4, 5, 6])(
    "ends with exactly the writers' rows and sees no number twice: history %i",
    async (seed) => {
      const { writers, poller } = await runHistory([server, sibling], outside, { seed, steps: 40 });
      await poller.expectSynchronised();
      const answers = writers.flatMap((writer) => writer.answers);
      for (const { status, error } of answers) {
        if (status >= 300) expect(EXPECTED_REFUSALS).toContain(error?.err_type ?? String(status));
      }
      expect(answers.filter(({ status }) => status < 300).length).toBeGreaterThan(answers.length / 3);
      for (const id of writers.flatMap(({ created }) => created)) expect(poller.rows.has(id)).toBe(true);
      expect(poller.polls).toBeGreaterThan(10);
    },
  );
});

describe("C6: a writer whose session is killed", () => {
  /** A server of its own, whose pool may lose sessions; another one writes on. */
  async function withVictim(run: (victim: TestServer) => Promise<void>): Promise<void> {
    const victim = await startTestServer({}, server.database);
    await run(victim);
    await victim.stop();
  }

  const killWhoWaitsFor = (query: string) => outside`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like ${`%${query}%`}`;

  function expectDatabaseAway(answer: Answer<unknown>): void {
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
  }

  test("while it waits for the container's lock leaves no trace; the next change takes the next number", () =>
    withVictim(async (victim) => {
      const device = anyDevice(server);
      const box = await device.createContainer();
      const { last_sequence } = await headOf(outside, box.id);
      const answer = await overtake(
        outside,
        box.id,
        () => postEntry(anyDevice(victim), box),
        () => killWhoWaitsFor("Adds an entry"),
      );
      expectDatabaseAway(answer);
      const id = await device.createEntry(box);
      expect((await device.read(box)).entries.map((entry) => entry.id)).toEqual([id]);
      expect((await sequencesOf(outside, box.id)).get(id)).toBe(last_sequence + 1n);
    }));

  test("after it took a number leaves no trace either: the number goes to the change that waited behind it, once", () =>
    withVictim(async (victim) => {
      const device = anyDevice(server);
      const box = await device.createContainer();
      const category_id = await device.createCategory(box);
      const { last_sequence } = await headOf(outside, box.id);
      const poller = new Poller(outside, box.id);
      await poller.poll();
      let killed: Promise<Answer<unknown>> | undefined;
      let waiting: Promise<Answer<{ value: string }>> | undefined;
      await outside.begin(async (transaction) => {
        // The entry's statement takes its number first, and then waits for the category.
        await transaction`select from categories where id = ${category_id} for update`;
        killed = postEntry(anyDevice(victim), box, { category_id });
        await someoneWaits(outside, 1);
        waiting = postEntry(device, box);
        await someoneWaits(outside, 2);
        await poller.poll();
        await outside`
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid = (
            select pid from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' order by query_start limit 1
          )`;
        const answer = await waiting;
        expect(answer.status).toBe(201);
        await poller.poll();
      });
      if (!killed || !waiting) throw new Error("nothing was written");
      expectDatabaseAway(await killed);
      const { value: id = "" } = (await waiting).value ?? {};
      expect((await sequencesOf(outside, box.id)).get(id)).toBe(last_sequence + 1n);
      expect((await device.read(box)).entries.map((entry) => entry.id)).toEqual([id]);
      await poller.expectSynchronised();
      expect(await headOf(outside, box.id)).toMatchObject({ last_sequence: last_sequence + 1n, live_entries: 1 });
    }));
});
