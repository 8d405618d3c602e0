import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import type { SigninToken } from "../../src/auth/messages.ts";
import { newOtp } from "../../src/auth/otp.ts";
import { countByStatus, createUnverified, signInAgain, tampered, userIdOf, wrong } from "../support/accounts.ts";
import type { Answer } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const verify = (token: string, otp: string) => server.client().verifyOtp(token, otp);
const resend = (token: string) =>
  server.client().call("POST", "/api/auth/otp/resend-signin-otp", { headers: { "x-signin-token": token } });

async function expectWrong(token: string, otp: string): Promise<void> {
  expectError(await verify(token, otp), "INCORRECT_CREDENTIAL");
}

async function sessionsOf(user_id: string): Promise<number> {
  const [row] = await server.db`select count(*)::int as count from sessions where user_id = ${user_id}`;
  return row?.count;
}

describe("passcodes", () => {
  test("4.2: a passcode is eight digits, leading zeros kept", () => {
    const otps = Array.from({ length: 2000 }, newOtp);
    expect(otps.filter((otp) => !/^\d{8}$/.test(otp))).toEqual([]);
    for (const digit of "0123456789") expect(otps.some((otp) => otp.startsWith(digit))).toBe(true);
    expect(new Set(otps).size).toBeGreaterThan(1990);
  });

  test("4.2: the letter shows it in two groups of four, in both parts, with its lifetime", async () => {
    const { user, otp } = await createUnverified(server);
    const letter = server.letters.findLast(({ to }) => to === user.email);
    const grouped = `${otp.slice(0, 4)} ${otp.slice(4)}`;
    expect(letter?.text).toContain(grouped);
    expect(letter?.html).toContain(grouped);
    expect(letter?.text).toContain("10 minutes");
  });

  test("A7: it is stored only as an HMAC of 32 bytes", async () => {
    const { user, otp } = await createUnverified(server);
    const user_id = await userIdOf(server, user);
    const [row] = await server.db`
      select octet_length(otp_hmac) as length, user_otps::text as whole from user_otps where user_id = ${user_id}`;
    expect(row?.length).toBe(32);
    expect(row?.whole).not.toContain(otp);
    expect(row?.whole).not.toContain(Buffer.from(otp).toString("hex"));
  });

  test("4.2: it is in no answer: not at sign-up, at sign-in or when it is sent again", async () => {
    const { user } = await createUnverified(server);
    const answers: Answer<unknown>[] = [await server.client().signIn(user.email, user.auth_string)];
    const otps = [server.otpFor(user.email)];
    const token = (answers[0] as Answer<SigninToken>).value?.value ?? "";
    answers.push(await resend(token));
    otps.push(server.otpFor(user.email));

    const created = await createUnverified(server);
    otps.push(created.otp);
    const text = JSON.stringify([answers, [...answers.flatMap(({ headers }) => [...headers])], created.signinToken]);
    for (const otp of otps) {
      expect(text).not.toContain(otp);
      expect(Buffer.from(created.signinToken, "base64url").toString("latin1")).not.toContain(otp);
    }
  });
});

describe("POST otp/verify", () => {
  test.each([...ENCODINGS])(
    "7.4: in %s the right one opens a session with what was sent at sign-up",
    async (encoding) => {
      const { user, signinToken, otp } = await createUnverified(server);
      const answer = await server.client(encoding).verifyOtp(signinToken, otp);

      expect(answer.status).toBe(200);
      expect(answer.value?.tokens?.access_token).toBeString();
      expect(answer.value).toMatchObject({
        preferences_encrypted: new Uint8Array(user.preferences_encrypted),
        preferences_version_nonce: user.preferences_version_nonce,
        user_keystore_encrypted: new Uint8Array(user.user_keystore_encrypted),
        user_keystore_version_nonce: user.user_keystore_version_nonce,
        password_encryption_key_salt: new Uint8Array(user.password_encryption_key_salt),
        password_encryption_key_mem_cost_kib: user.password_encryption_key_mem_cost_kib,
        password_encryption_key_threads: user.password_encryption_key_threads,
        password_encryption_key_iterations: user.password_encryption_key_iterations,
        encryption_key_encrypted_with_password: new Uint8Array(user.encryption_key_encrypted_with_password),
      });
      const clockError = Number((answer.value?.tokens?.server_time ?? 0n) / 1000n) - server.services.now();
      expect(Math.abs(clockError)).toBeLessThan(5 * SECOND_MS);
    },
  );

  test("A13: a right passcode takes the account's deadline away, a wrong one does not", async () => {
    const { user, signinToken, otp } = await createUnverified(server);
    const deadline = async () => {
      const [row] = await server.db`select verification_deadline as deadline from users where email = ${user.email}`;
      return row?.deadline;
    };
    await expectWrong(signinToken, wrong(otp));
    expect(await deadline()).not.toBeNull();
    expect((await verify(signinToken, otp)).status).toBe(200);
    expect(await deadline()).toBeNull();
  });

  test("4.3: it works once", async () => {
    const { signinToken, otp } = await createUnverified(server);
    expect((await verify(signinToken, otp)).status).toBe(200);
    await expectWrong(signinToken, otp);
  });

  test("A7, C10: of several requests at once with one passcode exactly one passes", async () => {
    const { user, signinToken, otp } = await createUnverified(server);
    const answers = await Promise.all(Array.from({ length: 8 }, () => verify(signinToken, otp)));
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 7 });
    expect(await sessionsOf(await userIdOf(server, user))).toBe(1);
  });

  test("A7: after four wrong guesses the right one passes", async () => {
    const { signinToken, otp } = await createUnverified(server);
    for (let guesses = 0; guesses < 4; guesses++) await expectWrong(signinToken, wrong(otp));
    expect((await verify(signinToken, otp)).status).toBe(200);
  });

  test("A7: five wrong guesses void it; the next one sent has five of its own", async () => {
    const { user, signinToken, otp } = await createUnverified(server);
    for (let guesses = 0; guesses < 5; guesses++) await expectWrong(signinToken, wrong(otp));
    await expectWrong(signinToken, otp);

    expectEmptyOk(await resend(signinToken));
    const next = server.otpFor(user.email);
    for (let guesses = 0; guesses < 4; guesses++) await expectWrong(signinToken, wrong(next));
    expect((await verify(signinToken, next)).status).toBe(200);
  });

  test("A7: guesses that are sent at once all count", async () => {
    const { signinToken, otp } = await createUnverified(server);
    const answers = await Promise.all(Array.from({ length: 10 }, () => verify(signinToken, wrong(otp))));
    expect(countByStatus(answers)).toEqual({ "401 INCORRECT_CREDENTIAL": 10 });
    await expectWrong(signinToken, otp);
  });

  test("A7: it lives ten minutes", async () => {
    const early = await createUnverified(server);
    server.clock.aheadMs += 10 * MINUTE_MS - 5 * SECOND_MS;
    expect((await verify(early.signinToken, early.otp)).status).toBe(200);

    const late = await createUnverified(server);
    server.clock.aheadMs += 10 * MINUTE_MS;
    await expectWrong(late.signinToken, late.otp);
  });

  test.each([
    ["empty", () => ""],
    ["too short", (otp: string) => otp.slice(1)],
    ["one digit too long", (otp: string) => `${otp}0`],
    ["with a space, as the letter shows it", (otp: string) => `${otp.slice(0, 4)} ${otp.slice(4)}`],
    ["a long text", (otp: string) => otp.repeat(10_000)],
    ["not of digits", () => "abcd\0é"],
  ])("4.3: a passcode that is %s is INCORRECT_CREDENTIAL and leaves the right one alone", async (_what, change) => {
    const { signinToken, otp } = await createUnverified(server);
    await expectWrong(signinToken, change(otp));
    expect((await verify(signinToken, otp)).status).toBe(200);
  });

  test("A7: it is bound to its sign-in token: another token of the same user cannot use it", async () => {
    const { user, signinToken: older } = await createUnverified(server);
    const { signinToken, otp } = await signInAgain(server, user);

    await expectWrong(older, otp);
    expect((await verify(signinToken, otp)).status).toBe(200);
  });

  test("A7: another user's sign-in token cannot use it either", async () => {
    const ann = await createUnverified(server);
    const ben = await createUnverified(server);
    await expectWrong(ben.signinToken, ann.otp);
    expect((await verify(ann.signinToken, ann.otp)).status).toBe(200);
  });
});

describe("sign-in tokens", () => {
  const issue = (type: "SignIn" | "Access", lifetimeSecs: number) => {
    const expirationSecs = Math.floor(server.services.now() / 1000) + lifetimeSecs;
    return server.services.tokens.issue({ type, user_id: randomUUID(), expirationSecs }).text;
  };
  const withToken = (token: string) => ({ headers: { "x-signin-token": token } });
  const PATHS = ["/api/auth/otp/verify", "/api/auth/otp/resend-signin-otp"];

  test.each(PATHS)("2.3: %s without, with a damaged, an expired or a foreign token", async (path) => {
    const call = (options: { headers?: Record<string, string> }) =>
      path.endsWith("verify")
        ? server.client().verifyOtp("", "12345678", options.headers ?? {})
        : server.client().call("POST", path, options);
    const { signinToken } = await createUnverified(server);

    expectError(await call({}), "TOKEN_MISSING");
    expectError(await call(withToken("")), "INCORRECT_CREDENTIAL");
    expectError(await call(withToken("garbage")), "INCORRECT_CREDENTIAL");
    expectError(await call(withToken(tampered(signinToken))), "INCORRECT_CREDENTIAL");
    expectError(await call(withToken("A".repeat(8196))), "INCORRECT_CREDENTIAL");
    expectError(await call(withToken(issue("SignIn", 0))), "TOKEN_EXPIRED");
    expectError(await call(withToken(issue("Access", 60))), "WRONG_TOKEN_TYPE");
    expectError(await call(withToken(issue("Access", 0))), "TOKEN_EXPIRED");
    expectError(await call({ headers: { "x-access-token": signinToken } }), "TOKEN_MISSING");
  });

  test("1.3: an undecodable token is told before a bad body, an expired one after it", async () => {
    const post = (token: string) =>
      server.client().call("POST", "/api/auth/otp/verify", {
        // Without a body there is no JSON to read.
        headers: { "x-signin-token": token, "content-type": "application/json" },
      });
    expectError(await post("garbage"), "INCORRECT_CREDENTIAL");
    expectError(await post(issue("SignIn", 0)), "PREHANDLER");
  });
});

describe("sending a passcode again", () => {
  test("7.6: it replaces the previous one, also when that one has expired", async () => {
    const { user, signinToken, otp: first } = await createUnverified(server);
    expectEmptyOk(await resend(signinToken));
    const second = server.otpFor(user.email);
    await expectWrong(signinToken, first);
    server.clock.aheadMs += 11 * MINUTE_MS;
    await expectWrong(signinToken, second);
    expectEmptyOk(await resend(signinToken));
    expect((await verify(signinToken, server.otpFor(user.email))).status).toBe(200);
  });

  test("S21: a sign-in token that opened a session gets no further passcode and opens no other session", async () => {
    const { user, signinToken, otp } = await createUnverified(server);
    const other = await signInAgain(server, user);
    const useful = await signInAgain(server, user);
    expect((await verify(useful.signinToken, useful.otp)).status).toBe(200);
    const letters = server.letters.length;

    expectError(await resend(useful.signinToken), "TOKEN_EXPIRED");
    expect(server.letters.length).toBe(letters);
    // Whatever passcode the account has, that token is used up.
    expectEmptyOk(await resend(other.signinToken));
    await expectWrong(useful.signinToken, server.otpFor(user.email));
    await expectWrong(signinToken, otp);
    expect((await verify(other.signinToken, server.otpFor(user.email))).status).toBe(200);
  });

  test("S21: of requests at once with one token and passcode, one opens a session", async () => {
    const { user, signinToken, otp } = await createUnverified(server);
    const answers = await Promise.all(Array.from({ length: 6 }, () => verify(signinToken, otp)));
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 5 });
    expect(await sessionsOf(await userIdOf(server, user))).toBe(1);
  });

  test("A7: five are sent per 15 minutes, the next is TOO_MANY_ATTEMPTS with Retry-After and voids nothing", async () => {
    const { user, signinToken } = await createUnverified(server);
    for (let sent = 1; sent < 5; sent++) expectEmptyOk(await resend(signinToken));
    const letters = server.letters.length;
    server.clock.aheadMs += 5 * MINUTE_MS;
    const refused = await resend(signinToken);

    expectError(refused, "TOO_MANY_ATTEMPTS");
    const waitSecs = Number(refused.headers.get("retry-after"));
    expect(waitSecs > 595 && waitSecs <= 600).toBe(true);
    expect(server.letters.length).toBe(letters);
    expect((await verify(signinToken, server.otpFor(user.email))).status).toBe(200);

    expectError(await server.client().signIn(user.email, user.auth_string), "TOO_MANY_ATTEMPTS");
    server.clock.aheadMs += waitSecs * SECOND_MS;
    expect((await server.client().signIn(user.email, user.auth_string)).status).toBe(200);
  });

  test("A7: at sign-in the limit is told only after the right password", async () => {
    const { user, signinToken } = await createUnverified(server);
    for (let sent = 1; sent < 5; sent++) expectEmptyOk(await resend(signinToken));
    expectError(await server.client().signIn(user.email, Buffer.from("wrong")), "INCORRECT_CREDENTIAL");
    const right = await server.client().signIn(user.email, user.auth_string);

    expectError(right, "TOO_MANY_ATTEMPTS");
    expect(Number(right.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test("A7: requests at once cannot exceed the limit", async () => {
    const { user, signinToken } = await createUnverified(server);
    const answers = await Promise.all(Array.from({ length: 9 }, () => resend(signinToken)));
    expect(countByStatus(answers)).toEqual({ "200": 4, "403 TOO_MANY_ATTEMPTS": 5 });
    expect(server.letters.filter(({ to }) => to === user.email)).toHaveLength(5);
  });

  test("A7: one account's limit is not another's", async () => {
    const ann = await createUnverified(server);
    const ben = await createUnverified(server);
    for (let sent = 1; sent < 5; sent++) expectEmptyOk(await resend(ann.signinToken));
    expectEmptyOk(await resend(ben.signinToken));
  });

  test("7.6: an account that is gone gets no passcode and no session", async () => {
    const { user, signinToken, otp } = await createUnverified(server);
    await server.db`delete from users where email = ${user.email}`;
    expectError(await resend(signinToken), "TOKEN_EXPIRED");
    await expectWrong(signinToken, otp);
  });
});
