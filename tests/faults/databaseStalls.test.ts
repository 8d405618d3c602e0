/** A database that takes questions and answers none: a machine that hangs, a full disk, a firewall that drops packets. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { connectDatabase } from "../../src/db/connect.ts";
import { silentLog } from "../../src/log.ts";
import type { Answer, Box, Device } from "../support/client.ts";
import { createTestDatabase, POOL } from "../support/database.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../support/databaseProxy.ts";
import { expectOverloaded, until, untilServed } from "../support/overload.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

setDefaultTimeout(60_000);

/** As for requests, but quicker. */
const PATIENCE = { waitSecs: 1, waitingMax: 20, lockSecs: 1, statementSecs: 1, silenceSecs: 1.5 };
/** Connections, one more statement behind each, those that wait, and the one that is refused at once. */
const UNDER_WAY_MAX = 2 * POOL.databaseConnectionsMax + PATIENCE.waitingMax;

let proxy: DatabaseProxy;
let server: TestServer;
let device: Device;
let box: Box;
let entry_id: string;
beforeAll(async () => {
  proxy = await startDatabaseProxy(await createTestDatabase());
  const { address } = proxy.database;
  const connect = () => connectDatabase(address, POOL, silentLog, PATIENCE);
  server = await startTestServer({}, { ...proxy.database, connect });
  device = await server.signUp();
  box = await device.createContainer();
  entry_id = await device.createEntry(box);
});
afterAll(async () => {
  proxy.flow();
  await server.stop();
  await proxy.stop();
});

const ask = () => server.client().nonce("somebody@example.com");

async function expectNothingLeftBehind(): Promise<void> {
  await until(() => server.db.activity.underWay === 0);
  expect(server.db.activity.waiting).toBe(0);
  expect(server.services.bounds.containerWrites.busy).toBe(0);
}

test("W11: while it stands still every request is refused in bounded time, what needs no database is answered, and all is well once it goes on", async () => {
  proxy.stall();
  const flood = Array.from({ length: 200 }, ask);
  await Promise.resolve();
  await until(() => server.db.activity.underWay > 0);
  expect(server.db.activity.underWay).toBeLessThanOrEqual(UNDER_WAY_MAX);

  for (const path of ["/api/heartbeat", "/healthz"]) {
    expect((await server.app.handle(new Request(`http://localhost${path}`))).status).toBe(200);
  }
  const ready = await server.app.handle(new Request("http://localhost/readyz"));
  expect(ready.status).toBe(503);

  const answers: Answer<unknown>[] = await Promise.all(flood);
  for (const answer of answers) expectOverloaded(answer);
  await expectNothingLeftBehind();

  proxy.flow();
  expect((await untilServed(ask)).status).toBe(200);
  expect((await untilServed(() => device.deleteEntry(box, entry_id))).status).toBe(200);
});

test("W11: changes that it took before it stood still are refused as well, transactions included", async () => {
  const writes = Array.from({ length: 8 }, () => untilServed(() => device.deleteEntry(box, entry_id)));
  await Promise.all(writes);
  const transaction = server.db.begin(async (inside) => {
    proxy.stall();
    await inside`select 1`;
  });
  await expect(transaction).rejects.toThrow("CONNECTION_CLOSED");
  proxy.flow();
  expect((await untilServed(ask)).status).toBe(200);
  await expectNothingLeftBehind();
});

test("W11: connections that never say a word again are replaced, without a restart", async () => {
  await Promise.all(Array.from({ length: 30 }, ask));
  proxy.strand();
  const answers = await Promise.all(Array.from({ length: 15 }, () => untilServed(ask)));
  expect(answers.map(({ status }) => status)).toEqual(Array(15).fill(200));
  await expectNothingLeftBehind();
});
