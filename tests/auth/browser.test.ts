import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createUnverified, granted, referenceToken, tampered, userIdOf, verdictOn } from "../support/accounts.ts";
import { Browser, type SetCookie, setCookiesOf } from "../support/browser.ts";
import { newUser } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000" });
});
afterAll(() => server.stop());

/** A new cookie's attributes, all of them; no Domain. */
const stored = (path: string, sameSite: string, lifetimeSecs: number) => ({
  path,
  "max-age": String(lifetimeSecs),
  httponly: "",
  secure: "",
  samesite: sameSite,
});
const SIGN_IN = stored("/api/auth/otp", "Strict", 30 * 60);
const ACCESS = stored("/api", "Lax", 15 * 60);
const REFRESH = stored("/api/auth", "Strict", 30 * 86_400);
const CSRF = stored("/api", "Lax", 86_400);
const REFERENCE_REFRESH_PATH = "/api/auth/token/refresh";

function attributesOf(cookies: readonly SetCookie[], name: string, path: string) {
  const cookie = cookies.find((candidate) => candidate.name === name && candidate.attributes.get("path") === path);
  return cookie && Object.fromEntries(cookie.attributes);
}

/** Empty value, same path, no SameSite, and an end in the past (3.2). */
function expectRemoved(cookies: readonly SetCookie[], name: string, path: string): void {
  const { expires = "", ...rest } = attributesOf(cookies, name, path) ?? {};
  expect(rest).toEqual({ path, "max-age": "0", httponly: "", secure: "" });
  expect(Date.parse(expires)).toBeLessThan(Date.now() - 300 * 86_400_000);
  const removal = cookies.find((cookie) => cookie.name === name && cookie.attributes.get("path") === path);
  expect(removal?.value).toBe("");
}

function signedInCookies(answer: { headers: Headers }): { access: string; refresh: string } {
  const cookies = setCookiesOf(answer.headers);
  const valueAt = (name: string, path: string) =>
    cookies.find((cookie) => cookie.name === name && cookie.attributes.get("path") === path)?.value ?? "";
  return { access: valueAt("x-access-token", "/api"), refresh: valueAt("x-refresh-token", "/api/auth") };
}

const csrf = (cookies: string) => ({ cookie: `x-csrf-token=c; ${cookies}`, "x-csrf-token": "c" });

describe.each([...ENCODINGS])("a browser, speaking %s", (encoding) => {
  test("3.1, C17: its whole story in cookies: sign up, passcode, refresh, log out", async () => {
    const browser = new Browser((request) => server.app.handle(request), encoding);
    const user = newUser();
    await browser.fetchCsrfToken();
    const created = await browser.client.createUser(user);
    expect({ status: created.status, type: created.headers.get("content-type") }).toEqual({ status: 201, type: null });

    const session = granted(await browser.client.verifyOtp("", server.otpFor(user.email), {}));
    expect(session.tokens).toBeUndefined();
    expect(session.user_keystore_encrypted).toEqual(new Uint8Array(user.user_keystore_encrypted));
    expect(browser.named("x-signin-token")).toEqual([]);
    expectError(await browser.client.call("GET", "/api/container"), "TOKEN_MISSING"); // of the container, not of the user

    const [first] = browser.named("x-refresh-token");
    expectEmptyOk(await browser.client.call("POST", "/api/auth/token/refresh"));
    const [second] = browser.named("x-refresh-token");
    expect(second?.value).not.toBe(first?.value);

    expectEmptyOk(await browser.client.call("POST", "/api/auth/logout"));
    expect(browser.cookies.map(({ name }) => name)).toEqual(["x-csrf-token"]);
    expectError(await server.client().refresh(second?.value ?? ""), "TOKEN_EXPIRED");
  });

  test("3.1: signing in gives an empty body and a sign-in cookie, which works as a token", async () => {
    const { user } = await createUnverified(server);
    const browser = new Browser((request) => server.app.handle(request), encoding);
    await browser.fetchCsrfToken();
    const answer = await browser.client.signIn(user.email, user.auth_string);

    expectEmptyOk(answer);
    const cookies = setCookiesOf(answer.headers);
    expect(cookies).toHaveLength(1);
    expect(attributesOf(cookies, "x-signin-token", "/api/auth/otp")).toEqual(SIGN_IN);
    expect((await server.client().verifyOtp(cookies[0]?.value ?? "", server.otpFor(user.email))).status).toBe(200);
  });
});

describe("cookies that are set", () => {
  test("7.1, 3.2: csrf-token answers JSON whatever is asked for, and a cookie of the same value, anew each time", async () => {
    const seen: string[] = [];
    for (const accept of ["application/protobuf", "application/json"]) {
      const request = new Request("http://localhost/api/auth/csrf-token", { headers: { accept } });
      const response = await server.app.handle(request);
      expect(response.headers.get("content-type")).toStartWith("application/json");
      const { csrf_token } = (await response.json()) as { csrf_token: string };
      const [cookie, ...more] = setCookiesOf(response.headers);
      expect(more).toEqual([]);
      expect(cookie?.value).toBe(csrf_token);
      expect(Object.fromEntries(cookie?.attributes ?? [])).toEqual(CSRF);
      expect(Buffer.from(csrf_token, "base64")).toHaveLength(32);
      seen.push(csrf_token);
    }
    expect(new Set(seen).size).toBe(2);
  });

  test("3.2: sign-up sets the sign-in cookie with the token's own lifetime", async () => {
    const answer = await server.client().createUser(newUser(), { "x-client-is-browser": "true" });
    expect(attributesOf(setCookiesOf(answer.headers), "x-signin-token", "/api/auth/otp")).toEqual(SIGN_IN);
  });

  test("3.2, P7: a passcode sets access and refresh cookies, removes the sign-in cookie and the reference's path", async () => {
    const { signinToken, otp } = await createUnverified(server);
    const answer = await server.client().verifyOtp("", otp, csrf(`x-signin-token=${signinToken}`));
    const cookies = setCookiesOf(answer.headers);

    expect(answer.value?.tokens).toBeUndefined();
    expect(cookies).toHaveLength(4);
    expect(attributesOf(cookies, "x-access-token", "/api")).toEqual(ACCESS);
    expect(attributesOf(cookies, "x-refresh-token", "/api/auth")).toEqual(REFRESH);
    expectRemoved(cookies, "x-signin-token", "/api/auth/otp");
    expectRemoved(cookies, "x-refresh-token", REFERENCE_REFRESH_PATH);
    const { access, refresh } = signedInCookies(answer);
    expect(await verdictOn(server.client(), access)).toBe("accepted");
    expect((await server.client().refresh(refresh)).status).toBe(200);
  });

  test("3.2, P7: a refresh by cookie answers an empty body and both cookies; the reference's path is cleared", async () => {
    const device = await server.signUp();
    const answer = await server.client().call("POST", "/api/auth/token/refresh", {
      headers: csrf(`x-refresh-token=${device.refreshToken}`),
    });
    const cookies = setCookiesOf(answer.headers);

    expectEmptyOk(answer);
    expect(cookies).toHaveLength(3);
    expect(attributesOf(cookies, "x-access-token", "/api")).toEqual(ACCESS);
    expect(attributesOf(cookies, "x-refresh-token", "/api/auth")).toEqual(REFRESH);
    expectRemoved(cookies, "x-refresh-token", REFERENCE_REFRESH_PATH);
    expect(await verdictOn(server.client(), signedInCookies(answer).access)).toBe("accepted");
  });

  test("P7: a browser that comes from the reference loses the cookie at the old path with its first refresh", async () => {
    const { user } = await createUnverified(server);
    const user_id = await userIdOf(server, user);
    const browser = new Browser((request) => server.app.handle(request));
    await browser.fetchCsrfToken();
    const value = referenceToken(server, "Refresh", { user_id, email: user.email });
    browser.cookies.push({ name: "x-refresh-token", value, path: REFERENCE_REFRESH_PATH });

    for (let rounds = 0; rounds < 2; rounds++) {
      expectEmptyOk(await browser.client.call("POST", "/api/auth/token/refresh"));
      expect(browser.named("x-refresh-token").map(({ path }) => path)).toEqual(["/api/auth"]);
    }
  });

  test("3.1: a refused request sets no cookie", async () => {
    const { signinToken, otp } = await createUnverified(server);
    const wrong = await server.client().verifyOtp("", `${otp}0`, csrf(`x-signin-token=${signinToken}`));
    expectError(wrong, "INCORRECT_CREDENTIAL");
    expect(wrong.headers.getSetCookie()).toEqual([]);
  });
});

describe("header or cookie", () => {
  test.each([
    ["true", true],
    ["TRUE", true],
    ["True", true],
    ["false", false],
    ["1", false],
    ["0", false],
    ["yes", false],
    ["", false],
  ])("3.1: x-client-is-browser: %p", async (value, isBrowser) => {
    const answer = await server.client().createUser(newUser(), { "x-client-is-browser": value });
    expect(answer.value === undefined).toBe(isBrowser);
    expect(answer.headers.getSetCookie().length > 0).toBe(isBrowser);
  });

  test("3.1: after sign-in the form of the answer follows the token's place, not x-client-is-browser", async () => {
    const { signinToken, otp } = await createUnverified(server);
    const browser = { "x-client-is-browser": "true" };
    const session = await server.client().verifyOtp("", otp, { ...browser, "x-signin-token": signinToken });
    expect(session.headers.getSetCookie()).toEqual([]);
    const refreshToken = session.value?.tokens?.refresh_token ?? "";

    const pair = await server.client().call("POST", "/api/auth/token/refresh", {
      headers: { ...browser, "x-refresh-token": refreshToken },
    });
    expect(pair.headers.get("content-type")).toBe("application/protobuf");
    expect(pair.headers.getSetCookie()).toEqual([]);
  });

  test("2.2: a header beats a cookie of the same name, even when it is empty or invalid", async () => {
    const device = await server.signUp();
    const headers = csrf(`x-refresh-token=${device.refreshToken}; x-access-token=${device.accessToken}`);
    const call = (more: Record<string, string>) =>
      server.client().call("POST", "/api/auth/logout", { headers: { ...headers, ...more } });

    expectError(await call({ "x-access-token": "garbage" }), "INCORRECT_CREDENTIAL");
    expectError(await call({ "x-refresh-token": "" }), "INCORRECT_CREDENTIAL");
    expectError(await call({ "x-refresh-token": device.accessToken }), "WRONG_TOKEN_TYPE");
    expectEmptyOk(await call({ "x-refresh-token": "\xe9" })); // no visible ASCII: counts as absent
  });

  test("P7: of two cookies with one name the first valid one counts", async () => {
    const device = await server.signUp();
    const expirationSecs = Math.floor(server.services.now() / 1000) - 10;
    const old = server.services.tokens.issue({ type: "Refresh", user_id: crypto.randomUUID(), expirationSecs }).text;
    const stale = ["garbage", old, tampered(device.refreshToken), device.accessToken];
    const cookies = [...stale, device.refreshToken].map((value) => `x-refresh-token=${value}`).join("; ");

    const answer = await server.client().call("POST", "/api/auth/token/refresh", { headers: csrf(cookies) });
    expectEmptyOk(answer);
    const { access, refresh } = signedInCookies(answer);
    const accesses = `x-access-token=${tampered(access)}; x-access-token=${access}`;
    expectEmptyOk(
      await server.client().call("POST", "/api/auth/logout", {
        headers: csrf(`${accesses}; x-refresh-token=garbage; x-refresh-token=${refresh}`),
      }),
    );
  });

  test("P7: of two cookies that are both invalid the first one's error is told", async () => {
    const device = await server.signUp();
    const cookies = `x-refresh-token=${device.accessToken}; x-refresh-token=${tampered(device.refreshToken)}`;
    const answer = await server.client().call("POST", "/api/auth/token/refresh", { headers: csrf(cookies) });
    expectError(answer, "WRONG_TOKEN_TYPE");
  });

  test.each([
    ["access token in a cookie, refresh token in a header (C18)", true, false],
    ["access token in a header, refresh token in a cookie", false, true],
    ["both in cookies", true, true],
  ])("7.8: logout with %s removes both cookies", async (_case, isAccessInCookie, isRefreshInCookie) => {
    const { accessToken, refreshToken } = await server.signUp();
    const cookies = [
      ...(isAccessInCookie ? [`x-access-token=${accessToken}`] : []),
      ...(isRefreshInCookie ? [`x-refresh-token=${refreshToken}`] : []),
    ];
    const answer = await server.client().call("POST", "/api/auth/logout", {
      headers: {
        ...csrf(cookies.join("; ")),
        ...(isAccessInCookie ? {} : { "x-access-token": accessToken }),
        ...(isRefreshInCookie ? {} : { "x-refresh-token": refreshToken }),
      },
    });
    expectEmptyOk(answer);
    const removed = setCookiesOf(answer.headers);
    expect(removed).toHaveLength(3);
    expectRemoved(removed, "x-access-token", "/api");
    expectRemoved(removed, "x-refresh-token", "/api/auth");
    expectRemoved(removed, "x-refresh-token", REFERENCE_REFRESH_PATH);
  });

  test("7.8: logout with both tokens in headers sets no cookie", async () => {
    const { accessToken, refreshToken } = await server.signUp();
    const answer = await server.client().logout(accessToken, refreshToken);
    expectEmptyOk(answer);
    expect(answer.headers.getSetCookie()).toEqual([]);
  });
});
