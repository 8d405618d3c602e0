/** A database whose connections or rows somebody else holds for long. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { connectDatabase } from "../../src/db/connect.ts";
import type { Db } from "../../src/db/query.ts";
import { silentLog } from "../../src/log.ts";
import type { Box, Device } from "../support/client.ts";
import { postEntry } from "../support/containerCalls.ts";
import { createTestDatabase, POOL } from "../support/database.ts";
import { expectOverloaded, until, untilServed } from "../support/overload.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

setDefaultTimeout(60_000);

const PATIENCE = { waitSecs: 1, waitingMax: 10, lockSecs: 1, statementSecs: 30, silenceSecs: 40 };

let server: TestServer;
let admin: Db;
let device: Device;
let box: Box;
let other: Box;
let release = () => {};
beforeAll(async () => {
  const database = await createTestDatabase();
  const connect = () => connectDatabase(database.address, POOL, silentLog, PATIENCE);
  server = await startTestServer({}, { ...database, connect });
  admin = database.db;
  device = await server.signUp();
  [box, other] = [await device.createContainer(), await device.createContainer()];
});
afterEach(() => release());
afterAll(async () => {
  await server.stop();
  await admin.end({ timeout: 1 });
});

/** Holds a container's lock, as a re-keying of many rows does, until `release`. */
async function holdContainer({ id }: Box): Promise<void> {
  const [held, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = admin.begin(async (transaction) => {
    await transaction`select from container_heads where container_id = ${id} for update`;
    held.resolve();
    await end.promise;
  });
  await held.promise;
  release = () => {
    release = () => {};
    end.resolve();
    holding.catch(() => {});
  };
}

/** Connections that wait for a lock. */
async function lockWaits(): Promise<number> {
  const rows = await admin`
    select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  return rows.length;
}

describe("a database that cannot write", () => {
  test.each([
    ["whose disk is full", "53100"],
    ["without memory", "53200"],
    ["that is a standby, as during a failover", "25006"],
  ])("W11: %s is answered 503, and works again once it can", async (_, code) => {
    await admin.unsafe(`
      create or replace function fail_as_told() returns trigger language plpgsql as
      $$ begin raise exception 'it cannot write' using errcode = '${code}'; end $$`);
    await admin`create trigger fail before insert on entries execute function fail_as_told()`;
    await expectOverloaded(await postEntry(device, box));
    await admin`drop trigger fail on entries`;
    expect((await postEntry(device, box)).status).toBe(201);
  });
});

describe("a container that is locked for long", () => {
  test("W11: changes of other containers go on: three connections at most wait for it", async () => {
    await holdContainer(box);
    let answered = 0;
    const stuck = Array.from({ length: 60 }, () => postEntry(device, box).finally(() => answered++));
    await until(async () => (await lockWaits()) === 3);

    for (let round = 0; round < 40; round++) {
      expect((await postEntry(device, other)).status).toBe(201);
    }
    expect(await lockWaits()).toBe(3);

    release();
    const statuses = (await Promise.all(stuck)).map(({ status }) => status);
    expect(new Set(statuses).difference(new Set([201, 503])).size).toBe(0);
    expect(answered).toBe(60);
    expect(server.services.bounds.containerWrites.busy).toBe(0);
  });

  test("W11: who has waited for it for too long is refused, and so are those that are too many to wait; then it is changed again", async () => {
    await holdContainer(box);
    const answers = await Promise.all(Array.from({ length: 150 }, () => postEntry(device, box)));
    for (const answer of answers) expectOverloaded(answer);
    release();
    expect((await untilServed(() => postEntry(device, box))).status).toBe(201);
    expect(server.services.bounds.containerWrites.busy).toBe(0);
  });
});

describe("a pool whose connections are all taken", () => {
  async function takeAllConnections(): Promise<void> {
    const taken = await Promise.all(Array.from({ length: POOL.databaseConnectionsMax }, () => server.db.reserve()));
    release = () => {
      release = () => {};
      for (const connection of taken) connection.release();
    };
  }

  test("W11: requests wait for a bounded time, in bounded number, and are served again afterwards", async () => {
    await takeAllConnections();
    const ask = () => server.client().nonce("somebody@example.com");
    const answers = Array.from({ length: 40 }, ask);
    await until(() => server.db.activity.waiting > 0);
    expect(server.db.activity.waiting).toBeLessThanOrEqual(PATIENCE.waitingMax);
    for (const answer of await Promise.all(answers)) expectOverloaded(answer);
    expect(server.db.activity.underWay).toBe(0);
    expect((await server.app.handle(new Request("http://localhost/healthz"))).status).toBe(200);

    release();
    expect((await Promise.all(Array.from({ length: 10 }, ask))).map(({ status }) => status)).toEqual(
      Array(10).fill(200),
    );
  });

  test("W11: who still waits when a connection becomes free is served", async () => {
    await takeAllConnections();
    const answers = Array.from({ length: 5 }, () => server.client().nonce("somebody@example.com"));
    await until(() => server.db.activity.waiting === 5);
    release();
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(Array(5).fill(200));
  });
});
