import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { routes } from "../../src/app.ts";
import { userIdOf } from "../support/accounts.ts";
import { createTestDatabase } from "../support/database.ts";
import { startDatabaseProxy } from "../support/databaseProxy.ts";
import { parseMetrics, type Sample, sampleOf } from "../support/metricsText.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, type RawAnswer, sendRaw, UNLIMITED } from "../support/socket.ts";

setDefaultTimeout(60_000);

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of cleanUps.splice(0).reverse()) await run();
});

/** A server that listens until the test is over. */
async function listening(environment: Record<string, string> = {}): Promise<{ server: TestServer; port: number }> {
  const server = await startTestServer(environment);
  const { port, stop } = listen(server);
  cleanUps.push(() => server.stop(), stop);
  return { server, port };
}

async function scrape(port: number): Promise<Sample[]> {
  const answer = await sendRaw(port, "GET /metrics", []);
  expect({ status: answer.status, type: answer.headers.get("content-type") }).toEqual({
    status: 200,
    type: "text/plain; version=0.0.4; charset=utf-8",
  });
  return parseMetrics(answer.body.toString());
}

/** What the database says is a second old at most. */
async function scrapeUntil(port: number, isSeen: (samples: Sample[]) => boolean): Promise<Sample[]> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const samples = await scrape(port);
    if (isSeen(samples) || performance.now() > deadline) return samples;
    await Bun.sleep(50);
  }
}

describe("P8: who sees the metrics", () => {
  let server: TestServer;
  let port: number;
  beforeAll(async () => {
    server = await startTestServer({ ENTRIES_METRICS_ALLOWED_NETWORKS: "10.0.0.0/8, 192.0.2.1" });
    ({ port } = listen(server));
  });
  afterAll(async () => {
    await server.app.server?.stop(true);
    await server.stop();
  });

  const comparable = ({ status, headers, body }: RawAnswer) => {
    const { "x-request-id": id, date, ...rest } = Object.fromEntries(headers);
    return { status, headers: rest, body: body.toString() };
  };

  test("P8: a connection from elsewhere gets what an unknown route answers", async () => {
    const unknown = await sendRaw(port, "GET /no-such-route", []);
    expect(unknown.status).toBe(404);
    expect(comparable(await sendRaw(port, "GET /metrics", []))).toEqual(comparable(unknown));
  });

  test("P8: X-Forwarded-For opens nothing, although the peer is a trusted proxy", async () => {
    for (const address of ["10.1.2.3", "192.0.2.1", "127.0.0.1"]) {
      const answer = await sendRaw(port, "GET /metrics", [`x-forwarded-for: ${address}`]);
      expect(answer.status).toBe(404);
    }
  });

  test("P8: X-Forwarded-For shuts nothing either, and loopback is allowed by default", async () => {
    const open = await listening();
    const answer = await sendRaw(open.port, "GET /metrics", ["x-forwarded-for: 203.0.113.9"]);
    expect(answer.status).toBe(200);
  });

  test("P8: without a peer's address, as on a unix socket, nobody sees them", async () => {
    const open = await listening();
    expect((await open.server.app.handle(new Request("http://localhost/metrics"))).status).toBe(404);
  });

  test("W18: another method is 405", async () => {
    const answer = await sendRaw(port, "POST /metrics", ["content-length: 0"]);
    expect(answer.status).toBe(405);
    expect(answer.headers.get("allow")).toBe("GET");
  });
});

describe("P8: what the metrics say", () => {
  test("P8: requests are counted by route pattern, method and status, with how long they took", async () => {
    const { port } = await listening();
    for (let requests = 0; requests < 3; requests++) await sendRaw(port, "GET /api/heartbeat", []);
    await sendRaw(port, "POST /api/heartbeat", ["content-length: 0"]);
    await sendRaw(port, "GET /nowhere", []);
    await sendRaw(port, "GET /api/user/public-key?email=a%40b.c", []);
    const samples = await scrape(port);

    const counted = (method: string, route: string, status: number) =>
      sampleOf(samples, "entries_http_requests_total", { method, route, status: String(status) });
    expect(counted("GET", "/api/heartbeat", 200)).toBe(3);
    expect(counted("POST", "unknown", 405)).toBe(1);
    expect(counted("GET", "unknown", 404)).toBe(1);
    expect(counted("GET", "/api/user/public-key", 401)).toBe(1);

    const beats = { method: "GET", route: "/api/heartbeat" };
    expect(sampleOf(samples, "entries_http_request_duration_seconds_count", beats)).toBe(3);
    const sum = sampleOf(samples, "entries_http_request_duration_seconds_sum", beats) ?? 0;
    expect(sum).toBeGreaterThan(0);
    expect(sum).toBeLessThan(60);
  });

  test("P8: a histogram's buckets grow up to its count, and end with +Inf", async () => {
    const { port } = await listening();
    await sendRaw(port, "GET /api/heartbeat", []);
    const samples = await scrape(port);
    const families = new Set(samples.filter(({ name }) => name.endsWith("_bucket")).map(({ name }) => name));
    expect(families.size).toBe(3);
    for (const family of families) {
      const { le: _first, ...labels } = samples.find(({ name }) => name === family)?.labels ?? {};
      const buckets = samples.filter(
        (sample) =>
          sample.name === family && Object.entries(labels).every(([key, text]) => sample.labels[key] === text),
      );
      const values = buckets.map(({ value }) => value);
      expect(values).toEqual(values.toSorted((a, b) => a - b));
      expect(buckets.at(-1)?.labels.le).toBe("+Inf");
      expect(sampleOf(samples, family.replace(/bucket$/, "count"), labels)).toBe(values.at(-1));
    }
  });

  test("P9: after a whole story, odd requests included, no label holds anything that a client sent", async () => {
    const { server, port } = await listening(UNLIMITED);
    const device = await server.signUp();
    const box = await device.createContainer();
    await device.createEntry(box, {});
    const user_id = await userIdOf(server, device.user);
    const { email } = device.user;
    const sent = [email, user_id, box.id, device.accessToken, "made-up", "Evil", "PROPFIND"];
    for (const path of [`/api/user/${email}`, `/api/${user_id}?email=${email}`, `/metrics/${box.id}`, "/%00", "//"]) {
      await sendRaw(port, `GET ${path}`, []);
    }
    await sendRaw(port, "GET /api/made-up", ["host: Evil", 'user-agent: Evil"} 1', "x-forwarded-for: made-up"]);
    await sendRaw(port, "PROPFIND /api/user", ["content-length: 0"]);
    await sendRaw(port, "GET /api/health?key=made-up", ["authorization: Bearer made-up"]);
    const body = `${email} ${user_id} made-up`;
    await sendRaw(port, "POST /api/client-errors", [`content-length: ${body.length}`], body);

    const text = (await sendRaw(port, "GET /metrics", [])).body.toString();
    for (const secret of sent) expect(text).not.toContain(secret);
    const samples = parseMetrics(text);
    const patterns = new Set<string>([...routes.map(({ spec }) => spec.path), "unknown"]);
    const methods = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other"]);
    for (const { labels } of samples) {
      if (labels.route !== undefined) expect(patterns).toContain(labels.route);
      if (labels.method !== undefined) expect(methods).toContain(labels.method);
    }
    expect(
      sampleOf(samples, "entries_http_requests_total", { method: "POST", route: "/api/user", status: "201" }),
    ).toBe(1);
  });

  test("P8: refusals of the limiter are counted by its name", async () => {
    const { port } = await listening({ ENTRIES_ERROR_REPORT_FAIR_USE_MAX_PER_PERIOD: "2" });
    for (let reports = 0; reports < 5; reports++) await sendRaw(port, "POST /api/client-errors", ["content-length: 0"]);
    const samples = await scrape(port);
    const refused = (limiter: string) => sampleOf(samples, "entries_limiter_refusals_total", { limiter });
    expect(refused("error_report_fair_use")).toBe(3);
    expect(refused("error_report_circuit_breaker")).toBe(0);
    expect(refused("read_fair_use")).toBe(0);
  });

  test("P8: the last run of each job, by result and age", async () => {
    const { server, port } = await listening();
    await server.db`
      insert into job_registry (job_name, last_run_timestamp, last_result, last_duration_ms, failed_runs, claimed_until)
      values
        ('Good', timezone('utc', now()) - interval '1 hour', 'ok: 3 removed', 1500, 2, null),
        ('Bad', timezone('utc', now()) - interval '1 minute', 'failed: 57P01', 20, 7, null),
        ('Busy', timezone('utc', now()), null, null, 0, timezone('utc', now()) + interval '5 minutes')`;
    const samples = await scrapeUntil(port, (seen) => seen.some(({ labels }) => labels.job === "Busy"));

    const result = (job: string, of: string) => sampleOf(samples, "entries_job_last_result", { job, result: of });
    expect([result("Good", "ok"), result("Good", "failed"), result("Bad", "failed"), result("Busy", "none")]).toEqual([
      1, 0, 1, 1,
    ]);
    const age = sampleOf(samples, "entries_job_age_seconds", { job: "Good" }) ?? 0;
    expect(age).toBeGreaterThanOrEqual(3600);
    expect(age).toBeLessThan(3700);
    expect(sampleOf(samples, "entries_job_last_duration_seconds", { job: "Good" })).toBe(1.5);
    expect(sampleOf(samples, "entries_job_last_duration_seconds", { job: "Busy" })).toBeUndefined();
    expect(sampleOf(samples, "entries_job_failed_runs_total", { job: "Bad" })).toBe(7);
    expect(sampleOf(samples, "entries_job_running", { job: "Busy" })).toBe(1);
    expect(sampleOf(samples, "entries_job_running", { job: "Good" })).toBe(0);
  });

  test("P8: the pool, the queues, the sessions, the process and the version", async () => {
    const { server, port } = await listening(UNLIMITED);
    const device = await server.signUp();
    await device.client.logout(device.accessToken, device.refreshToken);
    const samples = await scrape(port);
    expect(sampleOf(samples, "entries_database_up")).toBe(1);
    const connections = (state: string) => sampleOf(samples, "entries_database_connections", { state }) ?? -1;
    expect(connections("idle") + connections("in_use")).toBeGreaterThanOrEqual(2); // one listens
    expect(sampleOf(samples, "entries_database_connections_max")).toBe(10);
    expect(sampleOf(samples, "entries_database_statements", { state: "waiting" })).toBe(0);
    expect(sampleOf(samples, "entries_database_statement_duration_seconds_count")).toBeGreaterThan(3);
    expect(sampleOf(samples, "entries_database_wait_seconds_count")).toBe(
      sampleOf(samples, "entries_database_statement_duration_seconds_count") ?? -1,
    );
    expect(sampleOf(samples, "entries_password_hashes", { state: "running" })).toBe(0);
    expect(sampleOf(samples, "entries_password_hashes", { state: "waiting" })).toBe(0);
    expect(sampleOf(samples, "entries_mails_total", { result: "sent" })).toBe(server.letters.length);
    expect(sampleOf(samples, "entries_revoked_sessions")).toBe(1);
    expect(sampleOf(samples, "entries_event_streams_open")).toBe(0);
    expect(sampleOf(samples, "process_resident_memory_bytes")).toBeGreaterThan(1e7);
    expect(sampleOf(samples, "process_cpu_seconds_total")).toBeGreaterThan(0);
    const startedAt = sampleOf(samples, "process_start_time_seconds") ?? 0;
    expect(Math.abs(startedAt + process.uptime() - Date.now() / 1000)).toBeLessThan(10);
    expect(sampleOf(samples, "entries_build_info")).toBe(1);
    expect(sampleOf(samples, "entries_containers_changing")).toBe(0);
    expect(samples.some(({ name }) => name.startsWith("nodejs_eventloop_lag"))).toBe(true);
  });

  test("P8: what large messages and busy containers take", async () => {
    const { server, port } = await listening();
    const { containerWrites, wholeContainers, answerBytes } = server.services.bounds;
    const { promise, resolve } = Promise.withResolvers<void>();
    const tasks = [containerWrites.run("any", () => promise), wholeContainers.run(() => promise)];
    const answer = answerBytes.hold("any");
    answer.grow(5_000_000);
    const samples = await scrape(port);
    expect(sampleOf(samples, "entries_containers_changing")).toBe(1);
    expect(sampleOf(samples, "entries_large_tasks", { task: "upload", state: "running" })).toBe(1);
    expect(sampleOf(samples, "entries_large_tasks", { task: "read", state: "running" })).toBe(0);
    expect(sampleOf(samples, "entries_large_message_bytes", { message: "answer" })).toBe(5_000_000);
    expect(sampleOf(samples, "entries_large_message_bytes", { message: "body" })).toBe(0);
    answer.release();
    resolve();
    await Promise.all(tasks);
  });

  test("P13: of several processes each says which it is", async () => {
    const { server, port } = await listening();
    server.services.ops.metrics.nameProcess("2");
    const samples = await scrape(port);
    expect(samples.filter(({ labels }) => labels.process !== "2")).toEqual([]);
  });

  test("P8: while the database is away they are answered without what it would say", async () => {
    const database = await createTestDatabase();
    const proxy = await startDatabaseProxy(database);
    const server = await startTestServer({}, proxy.database);
    const { port, stop } = listen(server);
    cleanUps.push(
      () => proxy.stop(),
      () => server.stop(),
      stop,
    );
    await database.db`insert into job_registry (job_name, last_run_timestamp) values ('Some', timezone('utc', now()))`;
    const before = await scrapeUntil(port, (seen) => seen.some(({ labels }) => labels.job === "Some"));
    expect(sampleOf(before, "entries_database_up")).toBe(1);

    await proxy.goAway();
    const away = await scrapeUntil(port, (seen) => sampleOf(seen, "entries_database_up") === 0);
    expect(sampleOf(away, "entries_database_up")).toBe(0);
    expect(away.filter(({ labels }) => labels.job !== undefined)).toEqual([]);
    expect(away.filter(({ name }) => name === "entries_database_connections")).toEqual([]);
    expect(sampleOf(away, "entries_http_requests_total", { route: "/metrics" })).toBeGreaterThan(0);

    await proxy.comeBack();
    const back = await scrapeUntil(port, (seen) => sampleOf(seen, "entries_database_up") === 1);
    expect(sampleOf(back, "entries_database_up")).toBe(1);
  });
});
