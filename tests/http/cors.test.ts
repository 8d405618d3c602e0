/** What browsers are told about requests from other origins (decision P7; platform.md 4.1, 4.2, 10.1). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { routes } from "../../src/app.ts";
import { EventReader } from "../events/eventReader.ts";
import { anyDevice } from "../support/containerCalls.ts";
import { createTestDatabase } from "../support/database.ts";
import { startDatabaseProxy } from "../support/databaseProxy.ts";
import { goodRequest, nameOf, type Stage, setStage, TOKENS } from "../support/routeCases.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, sendRaw } from "../support/socket.ts";

const APP = "https://app.example.org";
const OTHER_APP = "http://localhost:8080";
const ALLOWED = { ENTRIES_CORS_ALLOWED_ORIGINS: ` ${APP} ,, ${OTHER_APP}` };

let stage: Stage;
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer(ALLOWED);
  stage = await setStage(server);
});
afterAll(() => server.stop());

const PATHS = [...new Set(routes.map(({ spec }) => spec.path))];

function ask(path: string, init: RequestInit, app = server.app): Promise<Response> {
  return app.handle(new Request(`http://localhost${path}`, init));
}

const preflight = (path: string, headers: Record<string, string>, on = server) =>
  ask(path, { method: "OPTIONS", headers: { "access-control-request-method": "PUT", ...headers } }, on.app);

/** The names in a header that is a list, in lower case. */
function listOf(headers: Headers, name: string): string[] {
  const text = headers.get(name);
  return text === null ? [] : text.split(",").map((item) => item.trim().toLowerCase());
}

const corsNames = (headers: Headers) => [...headers.keys()].filter((name) => name.startsWith("access-control-"));

function expectAllowed({ headers }: Response, origin = APP): void {
  expect(headers.get("access-control-allow-origin")).toBe(origin);
  expect(headers.get("access-control-allow-credentials")).toBe("true");
  expect(listOf(headers, "vary").filter((name) => name === "origin")).toHaveLength(1);
}

function expectUntold({ headers }: Response): void {
  expect(corsNames(headers)).toEqual([]);
  expect(listOf(headers, "vary")).toContain("origin");
}

describe("preflights", () => {
  test.each([...PATHS, "/nowhere", "/api/"])(
    "platform 4.2, W18: for %s it is 200 and empty, and lets in",
    async (path) => {
      const response = await preflight(path, { origin: APP });
      expect(response.status).toBe(200);
      expect(await response.text()).toBe("");
      expectAllowed(response);
      expect(response.headers.get("access-control-allow-methods")).toBe("GET, POST, PUT, DELETE, OPTIONS");
      expect(response.headers.get("access-control-max-age")).toBe("86400");
    },
  );

  /** The browser sends these by itself, or lets a page send them without asking. */
  const OF_BROWSERS = ["accept", "accept-encoding", "cookie", "host", "if-none-match", "origin", "sec-fetch-site"];
  const OF_THE_CONNECTION = ["content-length", "transfer-encoding", "x-forwarded-for"];

  test("platform 10.1: a page may send every header that the server reads, every token's among them", async () => {
    const { headers } = await preflight("/api/container/entry", { origin: APP });
    const allowed = listOf(headers, "access-control-allow-headers");
    const source = join(import.meta.dir, "../../src");
    const read = readdirSync(source, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts") && !path.startsWith("commands/"))
      .flatMap((path) => [...readFileSync(join(source, path), "utf8").matchAll(/headers\.(?:get|has)\("([^"]+)"\)/g)])
      .map(([, name = ""]) => name)
      // What the server asks of its own answers.
      .filter((name) => !["cache-control", "vary", "etag", "content-encoding"].includes(name));
    const tokens = Object.values(TOKENS).map(({ header }) => header);
    for (const name of [...read, ...tokens]) {
      expect([...allowed, ...OF_BROWSERS, ...OF_THE_CONNECTION], name).toContain(name);
    }
    expect(read).toContain("appversion");
    expect(tokens).toContain("x-container-access-token");
  });

  test("W18: without an origin it is 200 and empty, and so it is with nobody allowed", async () => {
    const nobody = await startTestServer({}, server.database);
    for (const on of [server, nobody]) {
      const response = await ask("/api/user", { method: "OPTIONS" }, on.app);
      expect({ status: response.status, body: await response.text() }).toEqual({ status: 200, body: "" });
      expect(corsNames(response.headers)).toEqual([]);
    }
    const response = await preflight("/api/user", { origin: APP }, nobody);
    expect({ status: response.status, cors: corsNames(response.headers) }).toEqual({ status: 200, cors: [] });
    expect(response.headers.get("vary")).toBeNull();
    await nobody.stop();
  });

  test("platform 2.2: it asks for no CSRF token, no version and no limit", async () => {
    const strict = await startTestServer(
      { ...ALLOWED, ENTRIES_MIN_APP_VERSION: "9.0.0", ENTRIES_LIGHT_AUTH_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1" },
      server.database,
    );
    const headers = { origin: APP, cookie: "x-access-token=a", AppVersion: "1.0.0", "sec-fetch-site": "cross-site" };
    for (let times = 0; times < 5; times++) {
      const response = await preflight("/api/auth/logout", headers, strict);
      expect(response.status).toBe(200);
      expectAllowed(response);
    }
    await strict.stop();
  });

  test("platform 4.2: over a connection it has no body, and the connection goes on", async () => {
    const socket = listen(server);
    const answer = await sendRaw(socket.port, "OPTIONS /api/container", [`origin: ${OTHER_APP}`]);
    expect({ status: answer.status, bytes: answer.body.length }).toEqual({ status: 200, bytes: 0 });
    expect(answer.headers.get("access-control-allow-origin")).toBe(OTHER_APP);
    await socket.stop();
  });
});

describe("origins", () => {
  test.each([
    "https://evil.example",
    "https://app.example.org.evil.example",
    "https://evil.example/https://app.example.org",
    "https://APP.example.org",
    "http://app.example.org",
    "https://app.example.org:444",
    "https://app.example.org/",
    "app.example.org",
    `${APP}, ${OTHER_APP}`,
    `${APP} ${OTHER_APP}`,
    "http://localhost",
    "null",
    "*",
    "",
  ])("platform 4.2: %p is none of the list and is told nothing, but is answered", async (origin) => {
    const refused = await preflight("/api/user", { origin });
    expect(refused.status).toBe(200);
    expectUntold(refused);
    const response = await ask("/api/heartbeat", { headers: { origin, "x-client-is-browser": "true" } });
    expect(response.status).toBe(200);
    expectUntold(response);
  });

  test("platform 4.2: `*` in the list has no meaning", async () => {
    const star = await startTestServer({ ENTRIES_CORS_ALLOWED_ORIGINS: "*" }, server.database);
    expectUntold(await preflight("/api/user", { origin: APP }, star));
    expectUntold(await ask("/api/heartbeat", { headers: { origin: APP } }, star.app));
    await star.stop();
  });

  test("P7: each of several allowed origins is told its own name; without one Vary is told all the same", async () => {
    for (const origin of [APP, OTHER_APP]) {
      expectAllowed(await ask("/api/heartbeat", { headers: { origin } }), origin);
    }
    expectUntold(await ask("/api/heartbeat", {}));
  });
});

/** What a page wants to read of answers (decisions W11, P7). */
const READABLE = ["retry-after", "ratelimit", "ratelimit-policy", "x-request-id", "allow"];

function expectReadable(response: Response): void {
  expectAllowed(response);
  const exposed = listOf(response.headers, "access-control-expose-headers");
  for (const name of [...READABLE, ...Object.values(TOKENS).map(({ header }) => header)]) {
    expect(exposed).toContain(name);
  }
}

describe("answers", () => {
  test.each(routes.map((route) => [nameOf(route), route] as const))(
    "P7: a page of an allowed origin may read %s, with and without the browser header",
    async (_name, route) => {
      const ways: Record<string, string>[] = [{}, { "x-client-is-browser": "true" }];
      for (const browser of ways) {
        const { url, ...init } = await goodRequest(stage, route, "json");
        const headers = { ...init.headers, ...browser, origin: APP };
        const response = await server.app.handle(new Request(url, { ...init, headers }));
        expectReadable(response);
        await response.body?.cancel();
      }
    },
  );

  test.each<[what: string, status: number, method: string, path: string, headers: Record<string, string>]>([
    ["an unknown path", 404, "GET", "/nowhere", {}],
    ["a wrong method", 405, "DELETE", "/api/heartbeat", {}],
    ["a missing token", 401, "GET", "/api/auth/session", {}],
    ["a body of another type", 400, "POST", "/api/auth/sign-in", { "content-type": "text/plain" }],
    ["a body that is too large", 413, "POST", "/api/auth/sign-in", { "content-length": "99999999" }],
    ["a missing CSRF token", 403, "POST", "/api/auth/logout", { cookie: "x-access-token=a" }],
    ["a foreign site", 403, "POST", "/api/auth/logout", { cookie: "x-access-token=a", "sec-fetch-site": "cross-site" }],
    ["an old client", 418, "GET", "/api/auth/session", { AppVersion: "1.0.0" }],
  ])("P7: the refusal of %s, %d, can be read", async (_what, status, method, path, headers) => {
    const strict = await startTestServer({ ...ALLOWED, ENTRIES_MIN_APP_VERSION: "2.0.0" }, server.database);
    const body = method === "POST" ? { body: "{}" } : {};
    const contentType = { "content-type": "application/json", accept: "application/json" };
    const response = await ask(
      path,
      { method, headers: { ...contentType, ...headers, origin: APP }, ...body },
      strict.app,
    );
    expect(response.status).toBe(status);
    expect(await response.json()).toHaveProperty("err_message");
    expectReadable(response);
    await strict.stop();
  });

  test("platform 3.4, W11: 429 can be read, with how long to wait", async () => {
    const limited = await startTestServer(
      { ...ALLOWED, ENTRIES_LIGHT_AUTH_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1" },
      server.database,
    );
    const socket = listen(limited);
    const request = () =>
      fetch(`http://127.0.0.1:${socket.port}/api/auth/csrf-token`, { headers: { origin: APP, connection: "close" } });
    await request();
    const response = await request();
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    expectReadable(response);
    await socket.stop();
    await limited.stop();
  });

  test("W11: 503 and 500 can be read", async () => {
    const proxy = await startDatabaseProxy(await createTestDatabase());
    const away = await startTestServer(ALLOWED, proxy.database);
    await proxy.goAway();
    const path = "/api/auth/nonce-and-auth-string-params?email=a%40b.c";
    const refused = await ask(path, { headers: { origin: APP } }, away.app);
    expect({ status: refused.status, retryAfter: refused.headers.get("retry-after") }).toEqual({
      status: 503,
      retryAfter: "5",
    });
    expectReadable(refused);

    away.services.limiter.take = () => {
      throw new RangeError("a defect");
    };
    const broken = await ask(path, { headers: { origin: APP } }, away.app);
    expect(broken.status).toBe(500);
    expectReadable(broken);
    await proxy.comeBack();
    await away.stop();
    await proxy.stop();
  });

  test("C7: a stream of events can be read", async () => {
    const device = anyDevice(server);
    const box = await device.createContainer();
    const response = await ask("/api/container/events", { headers: { ...device.headers(box), origin: APP } });
    expectReadable(response);
    const reader = new EventReader(response);
    expect(await reader.next()).toMatchObject({ event: "change", data: { container_id: box.id } });
    await reader.close();
  });

  test("W11, W18: an answer to a preflight names no headers to read, a real one none to send", async () => {
    const asked = await preflight("/api/user", { origin: APP });
    expect(corsNames(asked.headers)).not.toContain("access-control-expose-headers");
    const real = await ask("/api/heartbeat", { headers: { origin: APP } });
    expect(corsNames(real.headers).sort()).toEqual([
      "access-control-allow-credentials",
      "access-control-allow-origin",
      "access-control-expose-headers",
    ]);
  });
});
