import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createUnverified } from "../support/accounts.ts";
import { Browser } from "../support/browser.ts";
import { newUser } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** A browser that has signed up and keeps its session in cookies. */
async function signedInBrowser(user = newUser()) {
  const browser = new Browser((request) => server.app.handle(request));
  await browser.fetchCsrfToken();
  await browser.client.createUser(user);
  expect((await browser.client.verifyOtp("", server.otpFor(user.email), {})).status).toBe(200);
  return browser;
}

/** Cookies with the CSRF token that belongs to them. */
const csrf = (cookies: string) => ({ cookie: `x-csrf-token=c; ${cookies}`, "x-csrf-token": "c" });

describe("CSRF", () => {
  test("3.3: a change by cookie without the CSRF header is USER_DISALLOWED and changes nothing", async () => {
    const { signinToken, otp } = await createUnverified(server);
    const cookie = `x-signin-token=${signinToken}`;
    const attempts: Record<string, string>[] = [
      { cookie },
      { cookie: `${cookie}; x-csrf-token=c` },
      { cookie: `${cookie}; x-csrf-token=c`, "x-csrf-token": "d" },
      { cookie: `${cookie}; x-csrf-token=`, "x-csrf-token": "" },
      { cookie, "x-csrf-token": "c" },
    ];
    for (const headers of attempts) {
      const answer = await server.client().verifyOtp("", otp, headers);
      expectError(answer, "USER_DISALLOWED");
      expect(answer.headers.getSetCookie()).toEqual([]);
    }
    expect((await server.client().verifyOtp("", otp, csrf(cookie))).status).toBe(200);
  });

  test("3.3: it applies although the token came in a header, and to the CSRF cookie alone", async () => {
    const { signinToken, otp } = await createUnverified(server);
    const token = { "x-signin-token": signinToken };
    for (const cookie of ["x-access-token=a", "x-refresh-token=a", "x-signin-token=a", "x-csrf-token=c"]) {
      expectError(await server.client().verifyOtp("", otp, { ...token, cookie }), "USER_DISALLOWED");
    }
    expect((await server.client().verifyOtp("", otp, { ...token, cookie: "theme=dark" })).status).toBe(200);
  });

  test("P7: the cookies of container tokens trigger it as well", async () => {
    const names = ["x-container-access-token", "x-container-accept-token", "x-container-invite-sender-token"];
    for (const name of names) {
      const answer = await server.client().createUser(newUser(), { cookie: `${name}=a` });
      expectError(answer, "USER_DISALLOWED");
    }
  });

  test("P7: a request with cookies from another site is refused although its CSRF token is right", async () => {
    const { accessToken, refreshToken } = await server.signUp();
    const cookies = csrf(`x-access-token=${accessToken}; x-refresh-token=${refreshToken}`);
    const foreign: Record<string, string>[] = [
      { "sec-fetch-site": "cross-site" },
      { origin: "https://evil.example", host: "localhost" },
      { origin: "null", host: "localhost" },
    ];
    for (const from of foreign) {
      const answer = await server.client().call("POST", "/api/auth/logout", { headers: { ...cookies, ...from } });
      expectError(answer, "USER_DISALLOWED");
    }
    const own = { "sec-fetch-site": "same-origin", origin: "http://localhost", host: "localhost" };
    expectEmptyOk(await server.client().call("POST", "/api/auth/logout", { headers: { ...cookies, ...own } }));
  });

  test("3.3: reading is free: a GET with cookies needs no CSRF token", async () => {
    const browser = await signedInBrowser();
    browser.csrfToken = undefined;
    expectError(await browser.client.call("GET", "/api/container"), "TOKEN_MISSING");
    expect((await browser.client.nonce("a@b.c")).status).toBe(200);
  });

  test("1.3: it comes before routing, for unknown paths and wrong methods too", async () => {
    const headers = { cookie: "x-access-token=a" };
    expectError(await server.client().call("POST", "/nowhere", { headers }), "USER_DISALLOWED");
    expectError(await server.client().call("POST", "/api/heartbeat", { headers }), "USER_DISALLOWED");
    expectError(await server.client().call("GET", "/nowhere", { headers }), "PREHANDLER", 404);
  });

  test("3.3: the same token serves sign-up, passcode, refresh and logout", async () => {
    const browser = await signedInBrowser();
    const kept = browser.csrfToken;
    expectEmptyOk(await browser.client.call("POST", "/api/auth/token/refresh"));
    expectEmptyOk(await browser.client.call("POST", "/api/auth/logout"));
    expect(browser.named("x-csrf-token").map(({ value }) => value)).toEqual([kept ?? ""]);
  });
});
