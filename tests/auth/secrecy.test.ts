import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { NewUser } from "../../src/user/messages.ts";
import { createUnverified, granted, userIdOf, wrong } from "../support/accounts.ts";
import { Browser } from "../support/browser.ts";
import { newUser } from "../support/client.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** Everything of a story that must stay between client and server. */
const secrets: string[] = [];
const forms = (bytes: Uint8Array) => [
  Buffer.from(bytes).toString("base64"),
  Buffer.from(bytes).toString("base64url"),
  Buffer.from(bytes).toString("hex"),
];

function keep(user: NewUser): NewUser {
  secrets.push(user.email, user.email.toUpperCase(), encodeURIComponent(user.email));
  for (const value of Object.values(user)) if (value instanceof Uint8Array) secrets.push(...forms(value));
  return user;
}

async function storyWithTokens(): Promise<void> {
  const user = keep(newUser());
  const api = server.client("json");
  const created = granted(await api.createUser(user)).value;
  const firstOtp = server.otpFor(user.email);
  await api.createUser(user); // refused
  await api.verifyOtp(created, wrong(firstOtp));
  await api.verifyOtp(created, firstOtp);

  const { nonce } = granted(await api.nonce(user.email));
  await api.signInWith({ email: user.email, auth_string: randomBytes(32), nonce });
  const signinToken = granted(await api.signIn(user.email, user.auth_string)).value;
  const otp = server.otpFor(user.email);
  const { tokens } = granted(await api.verifyOtp(signinToken, otp));
  const access = tokens?.access_token ?? "";
  const refresh = tokens?.refresh_token ?? "";
  const pair = granted(await api.refresh(refresh));
  await api.refresh(refresh); // refused
  await api.logout(pair.access_token, pair.refresh_token);
  await api.logout(pair.access_token, pair.refresh_token); // refused
  secrets.push(firstOtp, otp, created, signinToken, access, refresh, pair.access_token, pair.refresh_token);
}

async function storyWithCookies(): Promise<void> {
  const user = keep(newUser());
  const browser = new Browser((request) => server.app.handle(request));
  await browser.fetchCsrfToken();
  await browser.client.createUser(user);
  const otp = server.otpFor(user.email);
  await browser.client.verifyOtp("", otp, {});
  secrets.push(otp, browser.csrfToken ?? "", ...browser.cookies.map(({ value }) => value));
  await browser.client.call("POST", "/api/auth/token/refresh");
  secrets.push(...browser.cookies.map(({ value }) => value));
  await browser.client.call("POST", "/api/auth/logout");
}

/** Errors whose causes hold what must not be told: SQL with values, and an exception that quotes the passcode. */
async function storyOfFailures(): Promise<void> {
  const { user, signinToken } = await createUnverified(server);
  keep(user);
  secrets.push(signinToken);
  const user_id = await userIdOf(server, user);
  await server.db`alter table sessions add constraint never_for_tests check (rotated_at < '1970-01-01') not valid`;
  const answer = await server.client().verifyOtp(signinToken, server.otpFor(user.email));
  await server.db`alter table sessions drop constraint never_for_tests`;
  expect(answer.status).toBe(500);
  secrets.push(server.otpFor(user.email), user_id);
}

describe("logs", () => {
  test("P9: after whole stories, refusals and a failure, no line holds an address, passcode, token or key", async () => {
    await storyWithTokens();
    await storyWithCookies();
    await storyOfFailures();
    server.services.log.flush();
    const text = server.logLines.join("");

    expect(secrets.length).toBeGreaterThan(100);
    expect(secrets.filter((secret) => secret === "" || text.includes(secret))).toEqual([]);
    expect(text).not.toContain("email=");
    expect(text).not.toContain("@example.com");
  });

  test("P9: a request is one JSON line with an id of its own and the pattern of its route", async () => {
    server.services.log.flush();
    const start = server.logLines.length;
    await server.client().nonce("ann@example.com");
    await server.client().call("POST", "/api/user?token=secret");
    await server.client().call("GET", "/elsewhere/secret?token=secret");
    server.services.log.flush();
    const lines = server.logLines
      .slice(start)
      .join("")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));

    expect(lines.map(({ event, method, route, status }) => ({ event, method, route, status }))).toEqual([
      { event: "request", method: "GET", route: "/api/auth/nonce-and-auth-string-params", status: 200 },
      { event: "request", method: "POST", route: "/api/user", status: 400 },
      { event: "request", method: "GET", route: "unknown", status: 404 },
    ]);
    expect(new Set(lines.map(({ request_id }) => request_id)).size).toBe(3);
    expect(JSON.stringify(lines)).not.toContain("secret");
  });
});
