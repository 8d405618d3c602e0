/**
 * A web app on another origin than the server's, in a real browser (decision P7; platform.md 4.1 to 4.4, 10.1): the page
 * does everything by `fetch`, and Chromium decides what it may send and read, and which cookies go along.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { granted } from "../support/accounts.ts";
import { CHROMIUM, launchChromium } from "../support/chromium.ts";
import { Client, Device, newUser } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, UNLIMITED } from "../support/socket.ts";

setDefaultTimeout(60_000);

/** An empty page for every path, on a port of its own. */
function serveApp(): { port: number; stop(): Promise<void> } {
  const page = "<!doctype html><title>An app</title>";
  const site = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(page, { headers: { "content-type": "text/html" } }),
  });
  return { port: site.port ?? 0, stop: () => site.stop(true) };
}

/** How a page asks. */
interface Asked {
  url: string;
  method: string;
  headers: [string, string][];
  body: string | null;
  credentials: "include" | "omit";
}

/** What a page may read of an answer. */
interface Read {
  status: number;
  headers: [string, string][];
  body: string;
}

/** Runs in the page. Bodies are latin1 text on the way between here and there. */
async function fetchInPage({ url, body, ...init }: Asked): Promise<Read> {
  const bytes = body === null ? null : Uint8Array.from(body, (char) => char.charCodeAt(0));
  const response = await fetch(url, { ...init, body: bytes });
  const answer = new Uint8Array(await response.arrayBuffer());
  const text = Array.from(answer, (byte) => String.fromCharCode(byte)).join("");
  return { status: response.status, headers: [...response.headers], body: text };
}

/** A client whose requests a page sends. */
class WebApp {
  readonly client: Client;
  /** What the page read from the answer of csrf-token. */
  csrfToken: string | undefined;

  constructor(
    readonly page: Page,
    api: string,
    readonly credentials: Asked["credentials"],
  ) {
    this.client = new Client((request) => this.#send(request), "protobuf", api);
  }

  /** A device without tokens of its own: the browser has them in cookies. */
  get device(): Device {
    return new Device(this.client, "", "");
  }

  async fetchCsrfToken(): Promise<void> {
    const response = await this.#send(new Request(`${this.client.base}/api/auth/csrf-token`));
    this.csrfToken = ((await response.json()) as { csrf_token: string }).csrf_token;
  }

  async #send(request: Request): Promise<Response> {
    const headers = new Headers(request.headers);
    if (this.credentials === "include") headers.set("x-client-is-browser", "true");
    if (this.csrfToken !== undefined) headers.set("x-csrf-token", this.csrfToken);
    if (headers.get("x-access-token") === "") headers.delete("x-access-token");
    const body = Buffer.from(await request.arrayBuffer()).toString("latin1");
    const read = await this.page.evaluate(fetchInPage, {
      url: request.url,
      method: request.method,
      headers: [...headers],
      body: body === "" ? null : body,
      credentials: this.credentials,
    });
    return new Response(Buffer.from(read.body, "latin1"), { status: read.status, headers: read.headers });
  }
}

const BLOCKED = "Failed to fetch";

describe.skipIf(!CHROMIUM)("a page on another origin in Chromium", () => {
  let app: ReturnType<typeof serveApp>;
  let unlisted: ReturnType<typeof serveApp>;
  let server: TestServer;
  let socket: ReturnType<typeof listen>;
  let browser: Browser;
  let context: BrowserContext;
  let api: string;
  let origins: Record<"sibling" | "foreign" | "unlisted", string>;
  beforeAll(async () => {
    [app, unlisted] = [serveApp(), serveApp()];
    origins = {
      sibling: `http://localhost:${app.port}`, // the API's site, since ports do not count
      foreign: `http://127.0.0.1:${app.port}`,
      unlisted: `http://localhost:${unlisted.port}`,
    };
    const allowed = { ENTRIES_CORS_ALLOWED_ORIGINS: `${origins.sibling},${origins.foreign}` };
    server = await startTestServer({ ...UNLIMITED, ...allowed, ENTRIES_MIN_APP_VERSION: "1.2.0" });
    socket = listen(server);
    api = `http://localhost:${socket.port}`;
    browser = await launchChromium();
    context = await browser.newContext();
  });
  afterAll(async () => {
    await browser?.close();
    await socket?.stop();
    await server?.stop();
    await app?.stop();
    await unlisted?.stop();
  });

  async function openApp(origin: string, credentials: Asked["credentials"], window = context): Promise<WebApp> {
    const page = await window.newPage();
    await page.goto(origin);
    return new WebApp(page, api, credentials);
  }

  const cookieNames = async (window: BrowserContext) =>
    (await window.cookies(`${api}/api/auth`)).map(({ name }) => name);

  /** What the server has answered so far, as `METHOD route status`. */
  function answered(): string[] {
    server.services.log.flush();
    const lines = server.logLines.join("").trim().split("\n");
    return lines
      .map((line) => JSON.parse(line))
      .filter(({ event }) => event === "request")
      .map(({ method, route, status }) => `${method} ${route} ${status}`);
  }

  /** A container is made, its entry edited and read again. */
  async function useContainer(device: Device): Promise<void> {
    const box = await device.createContainer();
    const entry_id = await device.createEntry(box, { version_nonce: 1n });
    const encrypted_blob = randomBytes(40);
    const update = { entry_id, encrypted_blob, version_nonce: 2n, expected_previous_version_nonce: 1n };
    expectEmptyOk(await device.replaceEntry(box, update));
    expectError(await device.replaceEntry(box, update), "OUT_OF_DATE");
    const [entry] = (await device.read(box)).entries;
    expect(Buffer.from(entry?.encrypted_blob ?? []).equals(encrypted_blob)).toBe(true);
    expectEmptyOk(await device.deleteEntry(box, entry_id));
  }

  test("P7: with cookies on the same site: sign-up, passcode, edit, refresh, logout, and sign-in again", async () => {
    const web = await openApp(origins.sibling, "include");
    const user = newUser();
    await web.fetchCsrfToken();
    const created = await web.client.createUser(user);
    expect({ status: created.status, value: created.value }).toEqual({ status: 201, value: undefined });
    expectError(await web.client.verifyOtp("", "not any", {}), "INCORRECT_CREDENTIAL");
    const session = granted(await web.client.verifyOtp("", server.otpFor(user.email), {}));
    expect(session.tokens).toBeUndefined();
    await useContainer(web.device);

    const before = await context.cookies(`${api}/api/auth`);
    expect(before.map(({ name }) => name).sort()).toEqual(["x-access-token", "x-csrf-token", "x-refresh-token"]);
    expectEmptyOk(await web.client.call("POST", "/api/auth/token/refresh"));
    const after = await context.cookies(`${api}/api/auth`);
    const refreshTokenIn = (cookies: typeof before) => cookies.find(({ name }) => name === "x-refresh-token")?.value;
    expect(refreshTokenIn(after)).not.toBe(refreshTokenIn(before));
    await useContainer(web.device);

    expectEmptyOk(await web.client.call("POST", "/api/auth/logout"));
    expect(await cookieNames(context)).toEqual(["x-csrf-token"]);
    expectError(await web.client.call("GET", "/api/auth/session"), "TOKEN_MISSING");

    expectEmptyOk(await web.client.signIn(user.email, user.auth_string));
    granted(await web.client.verifyOtp("", server.otpFor(user.email), {}));
    await useContainer(web.device);
    await web.page.close();
  });

  test.each(["sibling", "foreign"] as const)(
    "P7: with tokens in headers, from a %s: sign-up, passcode, edit, refresh, logout, and sign-in again",
    async (where) => {
      const window = await browser.newContext();
      const { client, page } = await openApp(origins[where], "omit", window);
      const user = newUser();
      const signinToken = granted(await client.createUser(user)).value;
      const { tokens } = granted(await client.verifyOtp(signinToken, server.otpFor(user.email)));
      await useContainer(new Device(client, tokens?.access_token ?? "", tokens?.refresh_token ?? ""));

      const pair = granted(await client.refresh(tokens?.refresh_token ?? ""));
      await useContainer(new Device(client, pair.access_token, pair.refresh_token));
      expectEmptyOk(await client.logout(pair.access_token, pair.refresh_token));
      const expired = { headers: { "x-access-token": pair.access_token } };
      expectError(await client.call("GET", "/api/auth/session", expired), "TOKEN_EXPIRED");

      const again = granted(await client.signIn(user.email, user.auth_string)).value;
      expect((await client.verifyOtp(again, server.otpFor(user.email))).status).toBe(200);
      expect(await window.cookies()).toEqual([]);
      await page.context().close();
    },
  );

  test("platform 10.1: cookies do not go along from another site, so its pages need header tokens", async () => {
    const window = await browser.newContext();
    const web = await openApp(origins.foreign, "include", window);
    await web.fetchCsrfToken();
    const user = newUser();
    expect((await web.client.createUser(user)).status).toBe(201);
    expectError(await web.client.verifyOtp("", server.otpFor(user.email), {}), "TOKEN_MISSING");
    await window.close();
  });

  test("W11, W12: a page reads refusals and what it is told in headers", async () => {
    const { client, page } = await openApp(origins.sibling, "omit");
    const answer = await client.call("GET", "/api/auth/session");
    expectError(answer, "TOKEN_MISSING");
    expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.headers.get("ratelimit")).toMatch(/^"read";r=\d+;t=\d+$/);
    expect(answer.headers.get("ratelimit-policy")).toMatch(/^"read";/);
    expectError(await client.call("GET", "/nowhere"), "PREHANDLER", 404);
    const wrongMethod = await client.call("DELETE", "/api/heartbeat");
    expectError(wrongMethod, "PREHANDLER", 405);
    expect(wrongMethod.headers.get("allow")).toBe("GET");
    const old = await client.call("GET", "/api/auth/session", { headers: { AppVersion: "1.1.9" } });
    expectError(old, "CLIENT_OUT_OF_DATE");
    await page.close();
  });

  test("W11: over the limit a page reads 429 and how long to wait", async () => {
    const limited = await startTestServer(
      { ENTRIES_READ_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1", ENTRIES_CORS_ALLOWED_ORIGINS: origins.sibling },
      server.database,
    );
    const other = listen(limited);
    const { page } = await openApp(origins.sibling, "omit");
    const client = new WebApp(page, `http://localhost:${other.port}`, "omit").client;
    expect((await client.nonce("a@example.org")).status).toBe(200);
    const refused = await client.nonce("a@example.org");
    expectError(refused, "PREHANDLER", 429);
    expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    await page.close();
    await other.stop();
    await limited.stop();
  });

  test("C7: a page reads a stream of events", async () => {
    const { client, page } = await openApp(origins.sibling, "omit");
    const { accessToken } = await server.signUp();
    const device = new Device(client, accessToken, "");
    const box = await device.createContainer();
    const asked = { url: `${api}/api/container/events`, headers: Object.entries(device.headers(box)) };
    const first = await page.evaluate(async ({ url, headers }) => {
      const response = await fetch(url, { headers: headers as [string, string][] });
      const reader = response.body?.getReader();
      const chunk = await reader?.read();
      await reader?.cancel();
      return new TextDecoder().decode(chunk?.value);
    }, asked);
    expect(first).toStartWith(`event: change\ndata: {"container_id":"${box.id}"`);
    await page.close();
  });

  test("platform 4.2: a page of an origin that is not listed reads nothing and changes nothing", async () => {
    const window = await browser.newContext();
    // The victim is signed in with cookies, which go along with requests from the same site.
    const victim = await openApp(origins.sibling, "include", window);
    const user = newUser();
    await victim.fetchCsrfToken();
    await victim.client.createUser(user);
    granted(await victim.client.verifyOtp("", server.otpFor(user.email), {}));

    const evil = await openApp(origins.unlisted, "include", window);
    evil.csrfToken = victim.csrfToken; // as if it had guessed it
    const before = answered().length;
    await expect(evil.client.call("GET", "/api/auth/session")).rejects.toThrow(BLOCKED);
    await expect(evil.client.call("POST", "/api/auth/logout")).rejects.toThrow(BLOCKED);
    await expect(evil.client.createUser(newUser())).rejects.toThrow(BLOCKED);
    // Without headers of its own a page may send a form's types unasked. Reading the answer is another thing.
    const form = { method: "POST", headers: [["content-type", "text/plain"]] as [string, string][], body: "x" };
    const unasked = { ...form, url: `${api}/api/auth/logout`, credentials: "include" as const };
    await expect(evil.page.evaluate(fetchInPage, unasked)).rejects.toThrow(BLOCKED);
    const seen = answered().slice(before);
    expect(seen.filter((line) => !line.startsWith("OPTIONS "))).toEqual(["POST /api/auth/logout 403"]);

    expect((await victim.client.call("GET", "/api/auth/session")).status).toBe(200);
    await window.close();
  });
});
