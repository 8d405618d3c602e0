/** C10: containers that nobody changes any more are deleted, where the operator wants that. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { sync as queries } from "../../src/db/queries.ts";
import type { Db } from "../../src/db/query.ts";
import { countRows, DAY_MS, MINUTE_MS, runJob } from "../jobs/jobRows.ts";
import type { Box, Device } from "../support/client.ts";
import {
  addKey,
  anyDevice,
  expectEmptyOk,
  expectError,
  postCategory,
  postEntry,
  postEntryAndCategory,
  putCategory,
  putContainer,
  putEntry,
} from "../support/containerCalls.ts";
import { someoneWaits } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { changesOf } from "../support/syncClient.ts";

const IDLE_DAYS = 730;

let server: TestServer;
let db: Db;
let device: Device;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_IDLE_CONTAINER_MAX_AGE_DAYS: String(IDLE_DAYS) });
  db = server.db;
  device = anyDevice(server);
});
beforeEach(async () => {
  await db`delete from containers`;
});
afterAll(() => server.stop());

const deleteIdle = () => runJob(server, "Delete Idle Containers");
const idsLeft = async () => (await db<{ id: string }[]>`select id from containers order by id`).map(({ id }) => id);

/** A container with a row of each kind, and what it was made of. */
async function anyContainer() {
  const box = await device.createContainer();
  const pair = (await postEntryAndCategory(device, box)).value;
  return { box, entry_id: pair?.entry_id ?? "", category_id: pair?.category_id ?? "" };
}

/** Makes everything in a container look as if it had happened so many days earlier. */
async function age({ id }: Box, days: number): Promise<void> {
  const earlier = (column: string) => `${column} = ${column} - interval '${days} days'`;
  for (const [table, key] of [
    ["containers", "id"],
    ["categories", "container_id"],
    ["entries", "container_id"],
  ]) {
    await db.unsafe(
      `update ${table} set ${earlier("modified_timestamp")}, ${earlier("deleted_at")} where ${key} = '${id}'`,
    );
  }
}

describe("C10: ENTRIES_IDLE_CONTAINER_MAX_AGE_DAYS", () => {
  test("is never by default: no container is deleted, however old", async () => {
    const patient = await startTestServer({}, server.database);
    const { box } = await anyContainer();
    await age(box, 3_000);
    expect(await runJob(patient, "Delete Idle Containers")).toBe(0);
    expect(await idsLeft()).toEqual([box.id]);
    await patient.stop();
  });

  test("so many days after the last change a container goes, with all that belongs to it; not a minute earlier", async () => {
    const { box } = await anyContainer();
    const member = await addKey(db, box);
    server.clock.aheadMs = IDLE_DAYS * DAY_MS - MINUTE_MS;
    expect(await deleteIdle()).toBe(0);
    server.clock.aheadMs = IDLE_DAYS * DAY_MS + MINUTE_MS;
    expect(await deleteIdle()).toBe(1);
    server.clock.aheadMs = 0;
    for (const table of ["containers", "container_heads", "categories", "entries", "container_access_keys"]) {
      expect(await countRows(db, table)).toBe(0);
    }
    await expect(changesOf(device, member)).rejects.toThrow("CONTAINER_DOES_NOT_EXIST");
    expectError(await postEntry(device, box), "CONTAINER_DOES_NOT_EXIST");
  });

  const CHANGES: Record<string, (parts: Awaited<ReturnType<typeof anyContainer>>) => Promise<{ status: number }>> = {
    "an edit of the container": ({ box }) => putContainer(device, box),
    "a new category": ({ box }) => postCategory(device, box),
    "an edit of a category": ({ box, category_id }) => putCategory(device, box, category_id),
    "a deleted category": ({ box, category_id }) => device.deleteCategory(box, category_id),
    "a new entry": ({ box }) => postEntry(device, box),
    "an edit of an entry": ({ box, entry_id }) => putEntry(device, box, entry_id),
    "a deleted entry": ({ box, entry_id }) => device.deleteEntry(box, entry_id),
  };
  test.each(Object.keys(CHANGES))("any change keeps a container: %s", async (change) => {
    const parts = await anyContainer();
    const idle = (await anyContainer()).box;
    for (const box of [parts.box, idle]) await age(box, IDLE_DAYS + 1);
    expect((await CHANGES[change]?.(parts))?.status).toBeLessThan(300);
    expect(await deleteIdle()).toBe(1);
    expect(await idsLeft()).toEqual([parts.box.id]);
  });

  test("a change of which a purge has taken every trace keeps it too", async () => {
    const parts = await anyContainer();
    await age(parts.box, 400);
    expectEmptyOk(await device.deleteCategory(parts.box, parts.category_id));
    expectEmptyOk(await device.deleteEntry(parts.box, parts.entry_id));
    await age(parts.box, 400);
    expect(await runJob(server, "Purge Tombstones")).toBe(2);
    // The container itself was made 800 days ago; that the rest was deleted, 400 days ago.
    expect(await deleteIdle()).toBe(0);
    server.clock.aheadMs = (IDLE_DAYS - 400) * DAY_MS + MINUTE_MS;
    expect(await deleteIdle()).toBe(1);
    server.clock.aheadMs = 0;
  });

  test("rows of the reference, whose numbers do not tell what was changed last and whose deletes keep the time", async () => {
    const edited = await anyContainer();
    await postEntry(device, edited.box);
    await age(edited.box, IDLE_DAYS + 1);
    await db`update entries set modified_timestamp = timezone('utc', now()) where id = ${edited.entry_id}`;
    const deleted = await anyContainer();
    await age(deleted.box, IDLE_DAYS + 1);
    await db`update entries set deleted_at = timezone('utc', now()) where id = ${deleted.entry_id}`;
    expect(await deleteIdle()).toBe(0);
  });

  test("many of them go in steps of 20", async () => {
    for (let count = 0; count < 45; count++) await age(await device.createContainer(), IDLE_DAYS + 1);
    expect(await deleteIdle()).toBe(45);
    expect(await idsLeft()).toEqual([]);
  });
});

describe("C10: an idle container that is changed right now", () => {
  test("under whose lock somebody works is left alone", async () => {
    const { box } = await anyContainer();
    await age(box, IDLE_DAYS + 1);
    await db.begin(async (transaction) => {
      await transaction`select from container_heads where container_id = ${box.id} for update`;
      expect(await deleteIdle()).toBe(0);
    });
    expect(await deleteIdle()).toBe(1);
  });

  test("that was changed since the statement looked at it is left alone", async () => {
    const { box, entry_id } = await anyContainer();
    await age(box, IDLE_DAYS + 1);
    // The statement itself, made to wait once it has its snapshot.
    const { text } = queries.delete_idle_containers;
    const waiting = text.replace(/where (?=greatest)/, "where (select pg_advisory_xact_lock(1)) is not null and ");
    expect(waiting).not.toBe(text);
    const changedBefore = new Date(Date.now() - IDLE_DAYS * DAY_MS).toISOString();
    let deletion: Promise<{ count: number }> | undefined;
    await db.begin(async (transaction) => {
      await transaction`select pg_advisory_xact_lock(1)`;
      deletion = db.unsafe(waiting, [changedBefore, 20]).execute();
      await someoneWaits(db, 1);
      expectEmptyOk(await putEntry(device, box, entry_id));
    });
    expect((await deletion)?.count).toBe(0);
    expect(await idsLeft()).toEqual([box.id]);
  });

  test("in any order: a change that was answered 200 is stored, or the container is gone and the change refused", async () => {
    for (let round = 0; round < 30; round++) {
      const { box, entry_id } = await anyContainer();
      await age(box, IDLE_DAYS + 1);
      const [answer] = await Promise.all([putEntry(device, box, entry_id), Bun.sleep(round % 3).then(deleteIdle)]);
      if (answer.status !== 200) expectError(answer, "CONTAINER_DOES_NOT_EXIST");
      expect((await idsLeft()).includes(box.id)).toBe(answer.status === 200);
    }
  });
});
