/** C7 when things go wrong: the database is away, strangers notify, changes race with opening. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Db } from "../../src/db/query.ts";
import { followChanges, type LiveChanges } from "../../src/events/liveChanges.ts";
import type { Box, Device } from "../support/client.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../support/databaseProxy.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { EventReader } from "./eventReader.ts";

/** Nothing happens by itself. */
const NEVER = {
  tellHereEveryMs: 10,
  tellEveryMs: 50,
  lookEveryMs: 3_600_000,
  recheckEveryMs: 3_600_000,
  heartbeatEveryMs: 3_600_000,
};

let server: TestServer;
let device: Device;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_MAX_STREAMS_PER_USER: "100" });
  await follow(server, NEVER);
  device = await server.signUp();
});
afterAll(() => server.stop());

async function follow({ services }: TestServer, timing: typeof NEVER): Promise<LiveChanges> {
  await services.liveChanges.stop();
  services.liveChanges = await followChanges(services, timing);
  return services.liveChanges;
}

function request(box: Box, from = server): Promise<Response> {
  const headers = { "x-access-token": device.accessToken, "x-container-access-token": box.token() };
  return from.app.handle(new Request("http://localhost/api/container/events", { headers }));
}

async function open(box: Box, from = server): Promise<EventReader> {
  const reader = new EventReader(await request(box, from));
  await reader.next();
  return reader;
}

/** Reads until a cursor is told. @throws Error when the stream ends before, or tells nothing for a while */
async function untilCursor(reader: EventReader, cursor: number): Promise<void> {
  for (let event = await reader.next(); ; event = await reader.next()) {
    if (event?.data.cursor === undefined) throw new Error("the stream ended, or the container is gone");
    if (Number(event.data.cursor) === cursor) return;
  }
}

/** A server whose database can go away. */
async function withProxy(
  timing: typeof NEVER,
  run: (behind: TestServer, proxy: DatabaseProxy) => Promise<void>,
): Promise<void> {
  const proxy = await startDatabaseProxy(server.database);
  const behind = await startTestServer({}, proxy.database);
  try {
    await follow(behind, timing);
    await run(behind, proxy);
  } finally {
    await behind.stop();
    await proxy.stop();
  }
}

/** A database whose answers to some statements are held back. */
function onRead(db: Db, statement: RegExp, hold: () => Promise<void>): Db {
  const unsafe = async (text: string, ...rest: never[]) => {
    const rows = await db.unsafe(text, ...rest);
    if (statement.test(text)) await hold();
    return rows;
  };
  return new Proxy(db, { get: (target, name) => (name === "unsafe" ? unsafe : Reflect.get(target, name)) });
}

async function changeWithoutTelling(box: Box, last_sequence: number): Promise<void> {
  await server.db`update container_heads set last_sequence = ${last_sequence} where container_id = ${box.id}`;
}

test("what a stranger notifies tells no client anything, and the next change is told", async () => {
  const box = await device.createContainer();
  const reader = await open(box);
  const forged = [
    `${box.id} 9223372036854775807`,
    `${box.id}`,
    `${box.id} x`,
    "",
    ",,",
    "\u0000".slice(1),
    "'; select 1",
  ];
  for (const payload of forged) await server.db`select pg_notify('container_changes', ${payload})`;
  expect(await reader.during(150)).toEqual({ events: [], hasEnded: false });
  await device.createEntry(box);
  await untilCursor(reader, 2);
  await reader.close();
});

test("a change that is committed between the opening of a stream and its first event is not missed", async () => {
  const box = await device.createContainer();
  const opened = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  const db = onRead(server.db, /from unnest/, async () => {
    opened.resolve();
    await answered.promise;
  });
  const liveChanges = await followChanges({ ...server.services, db }, NEVER);
  const key = { key_id: box.key_id, container_id: box.id, expirationSecs: Number.POSITIVE_INFINITY };
  const opening = liveChanges.open({ user_id: "", session_id: undefined, expirationSecs: 0 }, [key]);
  await opened.promise;
  await device.createEntry(box); // told while the cursor that was read before it is on its way
  await Bun.sleep(300);
  answered.resolve();
  const reader = new EventReader(new Response((await opening).body));
  await untilCursor(reader, 2);
  await reader.close();
  await liveChanges.stop();
}, 20_000);

test("streams outlive an outage of the database; what was missed is told when it is back", async () => {
  await withProxy({ ...NEVER, recheckEveryMs: 100 }, async (behind, proxy) => {
    const box = await device.createContainer();
    const reader = await open(box, behind);
    await proxy.goAway();
    await changeWithoutTelling(box, 50);
    expect(await reader.during(1_000)).toEqual({ events: [], hasEnded: false });
    await proxy.comeBack();
    await untilCursor(reader, 50);
    const warnings = behind.logLines.filter((line) => line.includes("live changes were not looked at"));
    expect(warnings.length).toBeGreaterThan(0);
    await reader.close();
  });
}, 20_000);

test("a connection that listens and is lost is made again, and what was missed is told without waiting for the next look", async () => {
  await withProxy(NEVER, async (behind, proxy) => {
    const box = await device.createContainer();
    const reader = await open(box, behind);
    await proxy.goAway();
    await changeWithoutTelling(box, 50);
    await proxy.comeBack();
    await untilCursor(reader, 50);
    await device.createEntry(box);
    await untilCursor(reader, 51);
    await reader.close();
  });
}, 20_000);

test("W11: a stream that is asked for while the database is away is refused with 503 and leaves nothing behind", async () => {
  await withProxy(NEVER, async (behind, proxy) => {
    const box = await device.createContainer();
    await (await open(box, behind)).close(); // its token and key are known now
    await proxy.goAway();
    expect((await request(box, behind)).status).toBe(503);
    expect(behind.services.liveChanges.openCount()).toBe(0);
    await proxy.comeBack();
  });
}, 20_000);

test("a database that does not answer is asked again only when it has answered", async () => {
  const box = await device.createContainer();
  const fast = await startTestServer({}, server.database);
  await follow(fast, { ...NEVER, recheckEveryMs: 20 });
  const reader = await open(box, fast);
  const [locked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = server.db.begin(async (transaction) => {
    await transaction`lock table container_heads in access exclusive mode`;
    locked.resolve();
    await released.promise;
  });
  await locked.promise;
  await Bun.sleep(500);
  const [waiting] = await server.db<{ count: number }[]>`
    select count(*)::int from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like '%unnest%'`;
  expect(waiting?.count).toBe(1);
  released.resolve();
  await holding;
  await changeWithoutTelling(box, 50);
  await untilCursor(reader, 50);
  await reader.close();
  await fast.stop();
}, 20_000);

test("P11: a stop ends streams and does not wait for a database that is away", async () => {
  await withProxy(NEVER, async (behind, proxy) => {
    const reader = await open(await device.createContainer(), behind);
    await proxy.goAway();
    behind.services.liveChanges.announce(crypto.randomUUID());
    const startedAt = performance.now();
    await behind.services.liveChanges.stop();
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(await reader.during(1_000)).toEqual({ events: [], hasEnded: true });
    await proxy.comeBack();
  });
}, 20_000);

test("P11: what was announced last before a stop is told to other processes", async () => {
  const other = await startTestServer({}, server.database);
  await follow(other, NEVER);
  const box = await device.createContainer();
  const reader = await open(box, other);
  const stopping = await startTestServer({}, server.database);
  await changeWithoutTelling(box, 50);
  for (const id of [crypto.randomUUID(), box.id]) stopping.services.liveChanges.announce(id);
  await stopping.stop();
  await untilCursor(reader, 50);
  await reader.close();
  await other.stop();
});
