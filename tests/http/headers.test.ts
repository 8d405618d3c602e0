/** What every answer carries (decisions P9, P12, W11; platform.md 2.2, 2.3, 2.5). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { routes } from "../../src/app.ts";
import { anyDevice } from "../support/containerCalls.ts";
import { createTestDatabase } from "../support/database.ts";
import { startDatabaseProxy } from "../support/databaseProxy.ts";
import { goodRequest, nameOf, type Stage, setStage } from "../support/routeCases.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { exchange, listen, parseAnswer, sendRaw } from "../support/socket.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let stage: Stage;
let server: TestServer;
let port: number;
let stopListening: () => Promise<void>;
beforeAll(async () => {
  server = await startTestServer();
  stage = await setStage(server);
  ({ port, stop: stopListening } = listen(server));
});
afterAll(async () => {
  await stopListening();
  await server.stop();
});

/** The lines of the log that tell of answered requests. */
function requestLines({ services, logLines }: TestServer): Record<string, unknown>[] {
  services.log.flush();
  const lines = logLines.join("").trim().split("\n");
  return lines.map((line) => JSON.parse(line)).filter(({ event }) => event === "request");
}

function expectGuarded({ headers }: Response): void {
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("referrer-policy")).toBe("no-referrer");
  expect(headers.get("x-request-id")).toMatch(UUID);
}

const ROUTES = routes.map((route) => [nameOf(route), route] as const);

/** A good request, answered in this process; who asks for a stream must end it. */
async function answerOf(route: (typeof routes)[number], headers: Record<string, string> = {}): Promise<Response> {
  const { url, ...init } = await goodRequest(stage, route, "protobuf");
  return server.app.handle(new Request(url, { ...init, headers: { ...init.headers, ...headers } }));
}

describe("security headers", () => {
  test.each(ROUTES)("P12: of %s", async (_name, route) => {
    const response = await answerOf(route);
    expectGuarded(response);
    // What is the same for everybody may be kept, and is asked for again.
    expect(response.headers.get("cache-control")).toBe(route.spec.hasEtag ? "no-cache" : "no-store");
    const isHtml = response.headers.get("content-type")?.startsWith("text/html") === true;
    const policy = response.headers.get("content-security-policy");
    if (isHtml) expect(policy).not.toBeNull();
    if (policy) {
      expect(policy).toContain("default-src 'none'");
      if (isHtml) expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain("unsafe");
    }
    await response.body?.cancel();
  });

  test("P12: of refusals and preflights", async () => {
    for (const [method, path, status] of [
      ["GET", "/nowhere", 404],
      ["DELETE", "/api/user/preferences", 405],
      ["GET", "/api/auth/session", 401],
      ["OPTIONS", "/api/user", 200],
    ] as const) {
      const response = await server.app.handle(new Request(`http://localhost${path}`, { method }));
      expect(response.status).toBe(status);
      expectGuarded(response);
      expect(response.headers.get("cache-control")).toBe("no-store");
    }
  });

  test("P12: HTTPS only is asked for where this server speaks HTTPS itself", async () => {
    const secure = await startTestServer({}, server.database);
    secure.services.config = { ...secure.services.config, tls: { certFile: "cert.pem", keyFile: "key.pem" } };
    const request = () => new Request("http://localhost/api/heartbeat");
    expect((await secure.app.handle(request())).headers.get("strict-transport-security")).toBe("max-age=31536000");
    expect((await server.app.handle(request())).headers.has("strict-transport-security")).toBe(false);
    await secure.stop();
  });

  test("platform 2.5: over a connection no header comes twice, and none tells the software", async () => {
    const pages = ["/api/heartbeat", "/account/email?token=a", "/openapi.json", "/", "/nowhere"];
    for (const path of pages) {
      const bytes = await exchange(
        port,
        `GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept-encoding: gzip\r\n\r\n`,
      );
      const [, ...lines] = bytes.subarray(0, bytes.indexOf("\r\n\r\n")).toString("latin1").split("\r\n");
      const names = lines.map((line) => line.slice(0, line.indexOf(":")).toLowerCase());
      expect(names).toEqual([...new Set(names)]);
      for (const name of ["server", "x-powered-by"]) expect(names).not.toContain(name);
    }
  });
});

describe("X-Request-Id", () => {
  test("P9: it is the id that the log has, another one for each request", async () => {
    const seen: string[] = [];
    for (const path of ["/api/heartbeat", "/nowhere", "/api/auth/session", "/account/email?token=a"]) {
      const response = await server.app.handle(new Request(`http://localhost${path}`));
      const id = response.headers.get("x-request-id") ?? "";
      const lines = requestLines(server).filter(({ request_id }) => request_id === id);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatchObject({ status: response.status });
      seen.push(id);
    }
    expect(new Set(seen).size).toBe(seen.length);
  });

  test("P9: of a failure it leads to the cause in the log", async () => {
    const { limiter } = server.services;
    server.services.limiter = {
      ...limiter,
      take() {
        throw new RangeError("a defect");
      },
    };
    const response = await server.app.handle(new Request("http://localhost/api/auth/session"));
    server.services.limiter = limiter;
    expect(response.status).toBe(500);
    server.services.log.flush();
    const id = response.headers.get("x-request-id") ?? "none";
    const failures = server.logLines
      .join("")
      .split("\n")
      .filter((line) => line.includes(id) && line.includes("defect"));
    expect(failures).toHaveLength(1);
  });

  test("P9: the client's own is not taken: nobody else decides what stands in the log", async () => {
    const own = "11111111-1111-4111-8111-111111111111";
    const request = new Request("http://localhost/api/heartbeat", { headers: { "x-request-id": own } });
    expect((await server.app.handle(request)).headers.get("x-request-id")).not.toBe(own);
    expect(JSON.stringify(requestLines(server))).not.toContain(own);
  });

  test("P9: a line of the log has what it had, and nothing more", async () => {
    await server.app.handle(
      new Request("http://localhost/api/heartbeat?key=secret", { headers: { origin: "http://a" } }),
    );
    const line = requestLines(server).at(-1) ?? {};
    expect(Object.keys(line)).toEqual([
      "time",
      "level",
      "event",
      "request_id",
      "method",
      "route",
      "status",
      "duration_ms",
    ]);
    expect(line).toMatchObject({ level: "info", method: "GET", route: "/api/heartbeat", status: 200 });
  });
});

describe("the limit's headers", () => {
  test.each(ROUTES)("W11: of %s", async (_name, route) => {
    const response = await answerOf(route);
    const { limit } = route.spec;
    if (limit === "unlimited") {
      expect(response.headers.has("ratelimit")).toBe(false);
      expect(response.headers.has("ratelimit-policy")).toBe(false);
    } else {
      const { max, periodSecs } = server.services.config.limiters[limit].fairUse;
      expect(response.headers.get("ratelimit-policy")).toBe(`"${limit}";q=${max};w=${periodSecs}`);
      expect(response.headers.get("ratelimit")).toMatch(new RegExp(`^"${limit}";r=\\d+;t=\\d+$`));
    }
    expect(response.headers.has("retry-after")).toBe(false);
    await response.body?.cancel();
  });

  test("W11: they count down on answers of every kind, and at 0 comes 429 with Retry-After", async () => {
    const limited = await startTestServer({ ENTRIES_READ_FAIR_USE_LIMITER_MAX_PER_PERIOD: "4" }, server.database);
    const socket = listen(limited);
    const read = (path: string) => sendRaw(socket.port, `GET ${path}`, ["x-forwarded-for: 198.51.100.9"]);
    const nonce = "/api/auth/nonce-and-auth-string-params";
    const answers = [
      await read(`${nonce}?email=a@b.c`), // 200
      await read(nonce), // 400
      await read("/api/auth/session"), // 401
      await read(`${nonce}?email=a@b.c`),
      await read("/api/auth/session"),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 400, 401, 200, 429]);
    expect(answers.map(({ headers }) => /r=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1])).toEqual([
      "3",
      "2",
      "1",
      "0",
      "0",
    ]);
    const last = answers.at(-1)?.headers;
    expect(last?.get("retry-after")).toBe(/t=(\d+)/.exec(last?.get("ratelimit") ?? "")?.[1]);
    await socket.stop();
    await limited.stop();
  });
});

test("P5: from a peer that is no trusted proxy X-Forwarded-For counts for nothing, from one it names the client", async () => {
  const read = { ENTRIES_READ_FAIR_USE_LIMITER_MAX_PER_PERIOD: "2" };
  for (const [proxies, expected] of [
    ["", [401, 401, 429, 429]],
    ["127.0.0.1", [401, 401, 401, 401]],
  ] as const) {
    const limited = await startTestServer({ ...read, ENTRIES_TRUSTED_PROXIES: proxies }, server.database);
    const socket = listen(limited);
    const statuses: number[] = [];
    for (let n = 1; n <= 4; n++) {
      const answer = await sendRaw(socket.port, "GET /api/auth/session", [`x-forwarded-for: 198.51.100.${n}`]);
      statuses.push(answer.status);
    }
    expect(statuses).toEqual([...expected]);
    await socket.stop();
    await limited.stop();
  }
});

describe("the order of processing", () => {
  let limited: TestServer;
  let socket: ReturnType<typeof listen>;
  beforeAll(async () => {
    const environment = {
      ENTRIES_LIGHT_AUTH_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1",
      ENTRIES_EXPENSIVE_AUTH_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1",
      ENTRIES_CORS_ALLOWED_ORIGINS: "https://app.example.org",
    };
    limited = await startTestServer(environment, server.database);
    socket = listen(limited);
  });
  afterAll(async () => {
    await socket.stop();
    await limited.stop();
  });

  let clients = 0;
  /** Asks as a client that nobody knows yet. */
  function newClient() {
    const address = `198.51.100.${++clients}`;
    return async (startLine: string, lines: string[] = [], body = "") => {
      const length = body === "" ? [] : [`content-length: ${body.length}`];
      const answer = await sendRaw(socket.port, startLine, [`x-forwarded-for: ${address}`, ...length, ...lines], body);
      return answer.status;
    };
  }
  const COOKIE = "cookie: x-access-token=a";

  test("platform 2.2: preflights and CSRF refusals do not count for a limit", async () => {
    const ask = newClient();
    for (let times = 0; times < 3; times++) {
      expect(await ask("OPTIONS /api/auth/logout", ["origin: https://app.example.org"])).toBe(200);
      expect(await ask("POST /api/auth/logout", [COOKIE])).toBe(403);
    }
    expect(await ask("POST /api/auth/logout")).toBe(401);
    expect(await ask("POST /api/auth/logout")).toBe(429);
  });

  test("platform 2.2: a CSRF refusal comes before 404 and 405, and after the limit is reached, too", async () => {
    const ask = newClient();
    expect([await ask("POST /api/auth/logout"), await ask("POST /api/auth/logout")]).toEqual([401, 429]);
    for (const target of ["POST /api/auth/logout", "POST /nowhere", "POST /api/heartbeat"]) {
      expect(await ask(target, [COOKIE])).toBe(403);
    }
  });

  test("platform 2.2: unknown paths and wrong methods do not count, not even at sign-in", async () => {
    const ask = newClient();
    for (let times = 0; times < 3; times++) {
      expect(await ask("GET /api/auth/nothing")).toBe(404);
      expect(await ask("GET /api/auth/logout")).toBe(405);
      expect(await ask("GET /api/auth/sign-in")).toBe(405);
      expect(await ask("PUT /api/auth/recover-with-recovery-key")).toBe(405);
    }
    expect(await ask("POST /api/auth/logout")).toBe(401);
    expect(await ask("POST /api/auth/sign-in")).toBe(400);
  });

  test("platform 2.2: what the limit refuses is refused before its tokens and its body are looked at", async () => {
    const ask = newClient();
    const garbage = ["content-type: application/json", "x-signin-token: garbage"];
    expect(await ask("POST /api/auth/otp/verify", garbage, "{")).toBe(401);
    expect(await ask("POST /api/auth/otp/verify", garbage, "{")).toBe(429);
  });

  test("platform 1.5: what the limit refuses gets its line in the log", async () => {
    const ask = newClient();
    await ask("GET /api/auth/csrf-token");
    const before = requestLines(limited).length;
    expect(await ask("GET /api/auth/csrf-token")).toBe(429);
    const [line, ...more] = requestLines(limited).slice(before);
    expect(line).toMatchObject({ route: "/api/auth/csrf-token", status: 429 });
    expect(more).toEqual([]);
  });
});

describe("answers made before a handler", () => {
  const get = (path: string, lines: string[] = []) =>
    sendRaw(port, `GET ${path}`, ["accept: application/json", ...lines]);

  test("platform 2.3: an unknown path is 404, a wrong method 405 with Allow, health and heartbeat included", async () => {
    const unknown = await get("/api/nothing");
    expect({ status: unknown.status, body: JSON.parse(unknown.body.toString()).err_type }).toEqual({
      status: 404,
      body: "PREHANDLER",
    });
    for (const path of ["/api/heartbeat", "/api/health"]) {
      const answer = await sendRaw(port, `DELETE ${path}`, []);
      expect({ status: answer.status, allow: answer.headers.get("allow") }).toEqual({ status: 405, allow: "GET" });
    }
  });

  test("platform 2.3: a query parameter that is missing or comes twice is 400", async () => {
    for (const query of ["", "?mail=a", "?email=a%40b.c&email=a%40b.c"]) {
      expect((await get(`/api/auth/nonce-and-auth-string-params${query}`)).status).toBe(400);
    }
  });

  test("platform 2.3: malformed HTTP is 400 or the connection ends, and the server goes on", async () => {
    for (const bytes of [
      "GARBAGE\r\n\r\n",
      "GET\r\n\r\n",
      "GET / HTTP/1.1\r\nbad header line\r\n\r\n",
      "\u0000\u0001\r\n\r\n",
    ]) {
      const answer = await exchange(port, bytes, { patienceMs: 1000 });
      if (answer.length > 0) expect(parseAnswer(answer).status).toBe(400);
    }
    expect((await get("/api/heartbeat")).status).toBe(200);
  });

  test("platform 2.3: 96 KiB of headers are refused with 431 or the connection ends; 12 KiB of tokens are taken", async () => {
    const device = anyDevice(server);
    const tokens = `x-container-access-token: ${Array(50).fill("t".repeat(240)).join(",")}`;
    const taken = await get("/api/container", [`x-access-token: ${device.accessToken}`, tokens]);
    expect(JSON.parse(taken.body.toString()).err_type).toBe("INCORRECT_CREDENTIAL");

    const answer = await exchange(port, `GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(96 * 1024)}\r\n\r\n`);
    if (answer.length > 0) expect(parseAnswer(answer).status).toBe(431);
    expect((await get("/api/heartbeat")).status).toBe(200);
  });

  test("platform 2.3, W18: an Accept-Encoding that rules out everything is answered, not 406", async () => {
    for (const accept of ["identity;q=0", "*;q=0", "identity;q=0, *;q=0", "br", "nonsense"]) {
      for (const path of ["/", "/openapi.json", "/nowhere", "/account/email?token=a"]) {
        const answer = await get(path, [`accept-encoding: ${accept}`]);
        expect(answer.status).not.toBe(406);
        expect(answer.headers.has("content-encoding")).toBe(false);
        expect(answer.body.length).toBeGreaterThan(0);
      }
    }
  });

  test("platform 2.1: HEAD is 405 with the headers of an answer and without its body", async () => {
    const answer = await sendRaw(port, "HEAD /api/auth/csrf-token", []);
    expect(answer.status).toBe(405);
    expect(answer.body.length).toBe(0);
    expect(answer.headers.get("x-request-id")).toMatch(UUID);
    expect(answer.headers.get("cache-control")).toBe("no-store");
  });

  test("P12: 304 has no body, but the headers of an answer, and the connection goes on", async () => {
    const { headers } = await get("/openapi.json");
    const ask = (more: string) =>
      `GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nif-none-match: ${headers.get("etag")}\r\n${more}\r\n`;
    const text = (await exchange(port, ask("accept-encoding: gzip\r\n") + ask("connection: close\r\n"))).toString();
    expect(text).toMatch(/^HTTP\/1\.1 304 .*?\r\n\r\nHTTP\/1\.1 304 .*\r\n\r\n$/s);
    expect(text.match(/x-request-id: /gi)).toHaveLength(2);
    expect(text).not.toMatch(/content-encoding/i);
  });
});

test("W11: 503 carries Retry-After and the limit's headers", async () => {
  const proxy = await startDatabaseProxy(await createTestDatabase());
  const away = await startTestServer({}, proxy.database);
  await proxy.goAway();
  const request = new Request("http://localhost/api/auth/nonce-and-auth-string-params?email=a%40b.c");
  const response = await away.app.handle(request);
  expect(response.status).toBe(503);
  expectGuarded(response);
  expect(response.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
  expect(response.headers.get("ratelimit-policy")).toBe('"read";q=100;w=30');
  await proxy.comeBack();
  await away.stop();
  await proxy.stop();
});
