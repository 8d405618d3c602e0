/** POST and GET /api/auth/otp: passcodes for a change of the account (decision A8, accounts.md 7.5). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { accountChangeOtpHmac } from "../../src/auth/otp.ts";
import { countByStatus, referenceToken, signInAgain, userIdOf } from "../support/accounts.ts";
import { Client, type Device } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { watchStatements } from "../support/statements.ts";

const MINUTE_MS = 60_000;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

type Method = "POST" | "GET";
const METHODS: readonly Method[] = ["POST", "GET"];
const ask = (device: Device, method: Method = "POST") =>
  device.client.call(method, "/api/auth/otp", { headers: device.headers() });
const lettersTo = (address: string) => server.letters.filter(({ to }) => to === address).length;

/** Whether a passcode is the account's present one for changes of the account. */
async function isStored(user_id: string, otp: string): Promise<boolean> {
  const [row] = await server.db`
    select otp_hmac from user_otps where user_id = ${user_id} and purpose = 'account-change'`;
  return accountChangeOtpHmac(server.services, user_id, otp).toString() === row?.otp_hmac?.toString();
}

describe.each(METHODS)("%s auth/otp", (method) => {
  test("7.5, A8: mails a passcode for account changes to the account's address and answers nothing", async () => {
    const device = await server.signUp();
    const letters = lettersTo(device.user.email);
    expectEmptyOk(await ask(device, method));
    expect(lettersTo(device.user.email)).toBe(letters + 1);
    expect(await isStored(await userIdOf(server, device.user), server.otpFor(device.user.email))).toBe(true);
  });

  test("7.5: the previous passcode is void", async () => {
    const device = await server.signUp();
    const user_id = await userIdOf(server, device.user);
    await ask(device, method);
    const first = server.otpFor(device.user.email);
    await ask(device, method);
    expect(await isStored(user_id, first)).toBe(false);
    expect(await isStored(user_id, server.otpFor(device.user.email))).toBe(true);
  });

  test("A7: it leaves the passcode of a sign-in alone", async () => {
    const device = await server.signUp();
    const { signinToken, otp } = await signInAgain(server, device.user);
    expectEmptyOk(await ask(device, method));
    expect((await server.client().verifyOtp(signinToken, otp)).status).toBe(200);
  });

  test("A7, S6: it opens no session", async () => {
    const device = await server.signUp();
    const { signinToken } = await signInAgain(server, device.user);
    await ask(device, method);
    const changeOtp = server.otpFor(device.user.email);
    expectError(await server.client().verifyOtp(signinToken, changeOtp), "INCORRECT_CREDENTIAL");
  });

  test("S10: a token of the reference gets it sent to the account's address, not to the one in the token", async () => {
    const device = await server.signUp();
    const former = `former-${randomUUID()}@example.com`;
    const user_id = await userIdOf(server, device.user);
    const headers = { "x-access-token": referenceToken(server, "Access", { user_id, email: former }) };
    const letters = lettersTo(device.user.email);
    expectEmptyOk(await server.client().call(method, "/api/auth/otp", { headers }));
    expect(lettersTo(former)).toBe(0);
    expect(lettersTo(device.user.email)).toBe(letters + 1);
  });

  test("S9: of an account that is gone the token is TOKEN_EXPIRED, and nothing is sent", async () => {
    const device = await server.signUp();
    await server.db`delete from users where email = ${device.user.email}`;
    const letters = server.letters.length;
    expectError(await ask(device, method), "TOKEN_EXPIRED");
    expect(server.letters.length).toBe(letters);
  });

  test("A7: five are sent per 15 minutes, then TOO_MANY_ATTEMPTS with Retry-After", async () => {
    const device = await server.signUp();
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(device, method)));
    expect(countByStatus(answers)).toEqual({ "200": 5, "403 TOO_MANY_ATTEMPTS": 3 });
    const refused = answers.find(({ status }) => status === 403);
    expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThan(800);
    server.clock.aheadMs += 10 * MINUTE_MS;
    expectError(await ask(device, method), "TOO_MANY_ATTEMPTS");
  });

  test("it is one statement", async () => {
    const watched = watchStatements(server.database);
    const counted = await startTestServer({}, watched.database);
    const device = await counted.signUp();
    watched.take();
    expectEmptyOk(await ask(device, method));
    expect(watched.take()).toHaveLength(1);
    await counted.stop();
  });
});

describe("the token from a cookie", () => {
  const call = (method: Method, headers: Record<string, string>, encoding = ENCODINGS[0]) =>
    new Client((request) => server.app.handle(request), encoding).call(method, "/api/auth/otp", { headers });

  test.each([...ENCODINGS])(
    "A8, S16: GET is refused with 405 and Allow: POST, and nothing is sent, in %s",
    async (encoding) => {
      const device = await server.signUp();
      const user_id = await userIdOf(server, device.user);
      const letters = server.letters.length;
      for (const extra of [{}, { "x-csrf-token": "abc" }] as Record<string, string>[]) {
        const cookie = `x-access-token=${device.accessToken}; x-csrf-token=abc`;
        const answer = await call("GET", { cookie, ...extra }, encoding);
        expectError(answer, "PREHANDLER", 405);
        expect(answer.headers.get("allow")).toBe("POST");
      }
      expect(server.letters.length).toBe(letters);
      const rows = await server.db`select from user_otps where user_id = ${user_id} and purpose = 'account-change'`;
      expect(rows).toHaveLength(0);
    },
  );

  test("A8: POST is taken with the CSRF token, and only with it", async () => {
    const device = await server.signUp();
    const cookie = `x-access-token=${device.accessToken}; x-csrf-token=abc`;
    const letters = lettersTo(device.user.email);
    expectError(await call("POST", { cookie }), "USER_DISALLOWED");
    expect(lettersTo(device.user.email)).toBe(letters);
    expectEmptyOk(await call("POST", { cookie, "x-csrf-token": "abc" }));
    expect(lettersTo(device.user.email)).toBe(letters + 1);
  });

  test("2.2: a header beats the cookie: GET with both is a field client's", async () => {
    const device = await server.signUp();
    const headers = { cookie: `x-access-token=${device.accessToken}`, "x-access-token": device.accessToken };
    expectEmptyOk(await call("GET", headers));
  });
});
