import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { MIGRATIONS } from "../../src/db/migrate.ts";
import { DatabaseMonitor, type DatabaseState } from "../../src/ops/databaseMonitor.ts";
import { reasonNotReady } from "../../src/ops/health.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import { createTestDatabase } from "../support/database.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../support/databaseProxy.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

setDefaultTimeout(60_000);

const KEY = "a key/with+odd characters";
const NEWEST = MIGRATIONS.at(-1)?.version ?? 0;

async function get(server: TestServer, path: string, headers: Record<string, string> = {}) {
  const response = await server.app.handle(new Request(`http://localhost${path}`, { headers }));
  return { status: response.status, headers: response.headers, bytes: new Uint8Array(await response.arrayBuffer()) };
}

async function getJson(server: TestServer, path: string, headers: Record<string, string> = {}) {
  const { bytes, ...answer } = await get(server, path, headers);
  return { ...answer, body: JSON.parse(new TextDecoder().decode(bytes)) };
}

/** One that always sees the same. */
function monitorOf(state: DatabaseState): DatabaseMonitor {
  return { look: async () => ({ state }) } as unknown as DatabaseMonitor;
}

/** What is known of the database is a second old at most. */
async function until(condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await Bun.sleep(50);
  }
  return true;
}

describe("GET /api/health", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ ENTRIES_HEALTH_ENDPOINT_KEY: KEY });
  });
  afterAll(() => server.stop());

  const withHeader = (value: string) => get(server, "/api/health", { authorization: value });
  const withQuery = (query: string) => get(server, `/api/health${query}`);

  test("P8: the key opens it, as a Bearer token or in the query", async () => {
    expect((await withHeader(`Bearer ${KEY}`)).status).toBe(200);
    expect((await withHeader(`bearer ${KEY}`)).status).toBe(200);
    expect((await withQuery(`?key=${encodeURIComponent(KEY)}`)).status).toBe(200);
  });

  test("platform 5: the query is form-decoded, and other parameters do not matter", async () => {
    expect((await withQuery("?x=1&key=a+key/with%2Bodd+characters&key2=2")).status).toBe(200);
    expect((await withQuery(`?key=${KEY.replaceAll(" ", "%20")}`)).status).toBe(401); // its + is a blank
  });

  test.each([
    ["missing", ""],
    ["empty", "?key="],
    ["of the same length", `?key=${"x".repeat(KEY.length)}`],
    ["shorter", "?key=a"],
    ["longer", `?key=${encodeURIComponent(`${KEY}!`)}`],
    ["its beginning", `?key=${encodeURIComponent(KEY.slice(0, -1))}`],
    ["very long", `?key=${"x".repeat(5000)}`],
  ])("P8: a key that is %s is 401 INCORRECT_CREDENTIAL with a body", async (_how, query) => {
    const answer = await withQuery(query);
    expect(answer.status).toBe(401);
    expect(ServerErrorResponse.decodeProtobuf(answer.bytes).err_type).toBe("INCORRECT_CREDENTIAL");
  });

  test("P8: a wrong or empty Bearer token is refused, whatever the query has", async () => {
    expect((await withHeader("Bearer wrong")).status).toBe(401);
    expect((await withHeader("Bearer ")).status).toBe(401);
    expect((await withHeader(`Basic ${KEY}`)).status).toBe(401);
    const both = await get(server, `/api/health?key=${encodeURIComponent(KEY)}`, { authorization: "Bearer wrong" });
    expect(both.status).toBe(401);
  });

  test("platform 5: a repeated key is 400", async () => {
    const key = encodeURIComponent(KEY);
    expect((await withQuery(`?key=${key}&key=${key}`)).status).toBe(400);
  });

  test("P8: without a key in the settings no key is right, not even an empty one", async () => {
    const environments: Record<string, string>[] = [{}, { ENTRIES_HEALTH_ENDPOINT_KEY: "" }];
    for (const environment of environments) {
      const keyless = await startTestServer(environment);
      for (const query of ["", "?key=", "?key=undefined", "?key=x"]) {
        expect((await get(keyless, `/api/health${query}`)).status).toBe(401);
      }
      expect((await get(keyless, "/api/health", { authorization: "Bearer " })).status).toBe(401);
      await keyless.stop();
    }
  });

  test("P8, P9: no key ever reaches the log, right or wrong", async () => {
    await withQuery(`?key=${encodeURIComponent(KEY)}`);
    await withQuery("?key=not-the-key-at-all");
    await withHeader("Bearer not-the-key-at-all");
    server.services.log.flush();
    const log = server.logLines.join("");
    expect(log).toContain("/api/health");
    for (const secret of ["odd", "not-the-key"]) expect(log).not.toContain(secret);
  });

  test("platform 5: the reference's counters, and what the operator wants besides", async () => {
    await server.db`
      insert into job_registry (job_name, last_run_timestamp, last_result, last_duration_ms, failed_runs)
      values ('Some Job', '2026-01-02 03:04:05.678', 'failed: 57P01', 12, 3)`;
    const health = async () => (await getJson(server, "/api/health", { authorization: `Bearer ${KEY}` })).body;
    await until(async () => (await health()).jobs.length > 0);
    const body = await health();
    expect(body).toMatchObject({
      database: { reachable: true, schema_version: NEWEST },
      jobs: [
        {
          name: "Some Job",
          last_run_timestamp_ms: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
          last_result: "failed",
          last_duration_ms: 12,
          failed_runs: 3,
          is_running: false,
        },
      ],
      version: expect.any(String),
      uptime_secs: expect.any(Number),
    });
    const { connections, idle_connections } = body.db_async_pool_state;
    expect(connections).toBeGreaterThanOrEqual(idle_connections);
    expect(idle_connections).toBeGreaterThanOrEqual(1);
  });

  test("platform 2.1: it is of the class read, so that keys cannot be guessed without end", async () => {
    const limited = await startTestServer({ ENTRIES_READ_FAIR_USE_LIMITER_MAX_PER_PERIOD: "2" });
    limited.app.listen({ port: 0, hostname: "127.0.0.1" });
    const statuses: number[] = [];
    for (let guesses = 0; guesses < 4; guesses++) {
      statuses.push((await fetch(`http://127.0.0.1:${limited.app.server?.port}/api/health?key=${guesses}`)).status);
    }
    expect(statuses).toEqual([401, 401, 429, 429]);
    await limited.app.server?.stop(true);
    await limited.stop();
  });
});

describe("probes", () => {
  let proxy: DatabaseProxy;
  let server: TestServer;
  beforeAll(async () => {
    proxy = await startDatabaseProxy(await createTestDatabase());
    server = await startTestServer({ ENTRIES_HEALTH_ENDPOINT_KEY: KEY }, proxy.database);
  });
  afterAll(async () => {
    await server.stop();
    await proxy.stop();
  });

  const readiness = () => getJson(server, "/readyz");
  const turns = (status: number) => until(async () => (await readiness()).status === status);

  test("P8: /healthz and /readyz are 200 while all is well", async () => {
    expect(await getJson(server, "/healthz")).toMatchObject({ status: 200, body: { status: "ok" } });
    expect(await readiness()).toMatchObject({ status: 200, body: { status: "ready" } });
  });

  test("P8: with the database away /readyz says so and /api/health is 503, but /healthz is 200; then all is well again", async () => {
    await proxy.goAway();
    expect(await turns(503)).toBe(true);
    const { headers, body } = await readiness();
    expect(body).toEqual({ status: "not ready", reason: "the database is away" });
    expect(headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    expect((await get(server, "/healthz")).status).toBe(200);
    const health = await getJson(server, "/api/health", { authorization: `Bearer ${KEY}` });
    expect(health).toMatchObject({
      status: 503,
      body: {
        db_async_pool_state: { connections: 0, idle_connections: 0 },
        database: { reachable: false, problem: "the database is away" },
      },
    });
    await proxy.comeBack();
    expect(await turns(200)).toBe(true);
  });

  test("P8: a schema that lacks a migration is not ready", async () => {
    await server.db`delete from schema_migrations where version = ${NEWEST}`;
    expect(await turns(503)).toBe(true);
    expect((await readiness()).body.reason).toBe("the database's schema is not up to date");
    await server.db`insert into schema_migrations (version, name) values (${NEWEST}, 'again')`;
    expect(await turns(200)).toBe(true);
  });

  test("P8: a schema that a newer server has migrated is: the old servers serve until they are replaced", async () => {
    const reasonAt = (schemaVersion: number) =>
      reasonNotReady({
        lifecycle: { isStopping: false },
        ops: {
          ...server.services.ops,
          database: monitorOf({ schemaVersion, connections: 1, idleConnections: 1, jobs: [] }),
        },
      });
    expect(await reasonAt(NEWEST + 1)).toBeUndefined();
    expect(await reasonAt(NEWEST - 1)).toBe("the database's schema is not up to date");
  });

  test("P8, P11: a server that is stopping is alive, but not ready", async () => {
    server.services.lifecycle.isStopping = true;
    expect(await readiness()).toMatchObject({
      status: 503,
      body: { status: "not ready", reason: "the server is stopping" },
    });
    expect((await get(server, "/healthz")).status).toBe(200);
    server.services.lifecycle.isStopping = false;
  });

  test.each(["/healthz", "/readyz", "/api/health", "/api/heartbeat"])(
    "W18: %s with another method is 405",
    async (path) => {
      for (const method of ["POST", "PUT", "DELETE", "HEAD"]) {
        const response = await server.app.handle(new Request(`http://localhost${path}`, { method }));
        expect({ method, status: response.status, allow: response.headers.get("allow") }).toEqual({
          method,
          status: 405,
          allow: "GET",
        });
      }
    },
  );
});

describe("the monitor of the database", () => {
  test("P8: any number of questions in a second are one", async () => {
    const database = await createTestDatabase();
    const monitor = new DatabaseMonitor(database.db, Date.now, { limitMs: 10_000, freshMs: 60_000 });
    const views = await Promise.all(Array.from({ length: 500 }, () => monitor.look()));
    await monitor.look();
    expect(views.every((view) => "state" in view)).toBe(true);
    expect(database.db.activity.durations.counts.reduce((all, one) => all + one, 0)).toBe(2);
    await database.db.end({ timeout: 1 });
  });

  test("P8: a database that does not answer is given up in time, and not asked more and more", async () => {
    const database = await createTestDatabase();
    const monitor = new DatabaseMonitor(database.db, Date.now, { limitMs: 20, freshMs: 0 });
    const other = database.connect();
    const locked = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const holding = other.begin(async (transaction) => {
      await transaction`lock table job_registry`;
      locked.resolve();
      await release.promise;
    });
    await locked.promise;
    for (let looks = 0; looks < 20; looks++) {
      expect(await monitor.look()).toEqual({ problem: "the database does not answer in time" });
    }
    expect(database.db.activity.underWay).toBe(1);
    release.resolve();
    await holding;
    expect(await until(async () => "state" in (await monitor.look()))).toBe(true);
    await other.end({ timeout: 1 });
    await database.db.end({ timeout: 1 });
  });
});
