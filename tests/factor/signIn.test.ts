/** Second factors and the rest of an account: mails, old clients, limits, removal, and what an account's end takes along. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { countByStatus, granted, referenceToken, signInAgain, userIdOf, wrong } from "../support/accounts.ts";
import { Authenticator } from "../support/authenticator.ts";
import { type Answer, Device } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import {
  enrolPasskey,
  enrolTotp,
  FACTOR_ENVIRONMENT,
  factorsOf,
  nextTotpCode,
  type Owner,
  offerOf,
  passkeyOptions,
  signInQuietly,
  subjectsTo,
  totpCode,
  verify,
  wrongTotpCode,
} from "../support/factors.ts";
import { heldUp } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const SECOND_MS = 1000;
const LIMIT_REACHED = "Too many wrong codes for your account";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer(FACTOR_ENVIRONMENT);
});
afterAll(() => server.stop());

/** Wrong in each of the three ways, in turn. */
async function guess(owner: Owner, token: string, secret: Uint8Array, times: number): Promise<void> {
  for (let count = 0; count < times; count++) {
    const proof = [{ totp: wrongTotpCode(server, secret) }, { recovery_code: "0000-0000-0000" }][count % 2] ?? {};
    expectError(await verify(owner.client, token, proof), "INCORRECT_CREDENTIAL");
  }
}

describe("mailed codes", () => {
  test.each([...ENCODINGS])(
    "W13: a field client, speaking %s, keeps using them with factors enrolled",
    async (encoding) => {
      const owner = await server.signUp(undefined, encoding);
      await enrolTotp(server, owner);
      await enrolPasskey(owner);
      const { signinToken, otp } = await signInAgain(server, owner.user);
      expectError(await owner.client.verifyOtp(signinToken, wrong(otp)), "INCORRECT_CREDENTIAL");
      const session = granted(await owner.client.verifyOtp(signinToken, otp));
      expect(session.tokens?.access_token).toBeString();
    },
  );

  test("without_otp_mail: none is sent, but it can be asked for; only for an account with a factor", async () => {
    const owner = await server.signUp();
    const mails = () => subjectsTo(server, owner.user.email).length;
    let before = mails();
    await signInQuietly(owner);
    expect(mails()).toBe(before + 1);
    const earlierOtp = server.otpFor(owner.user.email);

    await enrolPasskey(owner);
    before = mails();
    const token = await signInQuietly(owner);
    expect(mails()).toBe(before);
    expectError(await owner.client.verifyOtp(token, earlierOtp), "INCORRECT_CREDENTIAL");
    const headers = { "x-signin-token": token };
    expectEmptyOk(await owner.client.call("POST", "/api/auth/otp/resend-signin-otp", { headers }));
    expect(mails()).toBe(before + 1);
    expect((await owner.client.verifyOtp(token, server.otpFor(owner.user.email))).status).toBe(200);
  });

  test("without_otp_mail: false, or left out, mails as ever; a wrong password and an unknown address answer as ever", async () => {
    const owner = await server.signUp();
    await enrolPasskey(owner);
    const { email, auth_string } = owner.user;
    const signIn = async (address: string, secret: Uint8Array, without_otp_mail?: boolean) => {
      const { nonce } = granted(await owner.client.nonce(address));
      const credentials = { email: address, auth_string: secret, nonce };
      return owner.client.signInWith(
        without_otp_mail === undefined ? credentials : { ...credentials, without_otp_mail },
      );
    };
    const before = server.letters.length;
    expect((await signIn(email, auth_string, false)).status).toBe(200);
    expect((await signIn(email, auth_string)).status).toBe(200);
    expect(server.letters).toHaveLength(before + 2);
    const answers = [
      await signIn(email, randomBytes(32), true),
      await signIn("nobody@example.com", randomBytes(32), true),
      await signIn(email, randomBytes(32)),
    ];
    for (const answer of answers) expect(answer).toEqual({ ...answers[0], headers: expect.anything() } as never);
    expect(server.letters).toHaveLength(before + 2);
  });

  test("a wrong factor is told as a wrong passcode is, with and without a factor enrolled", async () => {
    const plain = await server.signUp();
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    const { authenticator } = await enrolPasskey(owner);
    const answers = [];
    for (const [account, token] of [
      [plain, (await signInAgain(server, plain.user)).signinToken],
      [owner, (await signInAgain(server, owner.user)).signinToken],
    ] as const) {
      const { json } = granted(await passkeyOptions(account.client, token));
      const passkey = new Authenticator("https://entries.example.org").assert(json);
      answers.push(
        await account.client.verifyOtp(token, wrong(server.otpFor(account.user.email))),
        await verify(account.client, token, { totp: wrongTotpCode(server, secret) }),
        await verify(account.client, token, { totp: "" }),
        await verify(account.client, token, { recovery_code: "0000-0000-0000" }),
        await verify(account.client, token, { recovery_code: "?" }),
        await verify(account.client, token, { passkey }),
      );
    }
    expect(authenticator.signCount).toBe(0);
    const seen = new Set(
      answers.map(({ status, headers, error }) => JSON.stringify([status, error, [...headers.keys()].sort()])),
    );
    expect(seen.size).toBe(1);
    expectError(answers[0] as never, "INCORRECT_CREDENTIAL");
  });

  test("more than one proof, or a passcode beside a factor, is INCORRECTLY_FORMED and uses nothing", async () => {
    const owner = await server.signUp();
    const { secret, codes } = await enrolTotp(server, owner);
    const { signinToken, otp } = await signInAgain(server, owner.user);
    const totp = nextTotpCode(server, secret);
    const [recovery_code = ""] = codes;
    for (const proof of [
      { totp, recovery_code },
      { totp, passkey: "{}" },
      { recovery_code, passkey: "{}" },
      { totp, recovery_code, passkey: "{}" },
      { value: otp, totp },
      { value: otp, recovery_code },
      { value: " ", passkey: "{}" },
    ]) {
      expectError(await verify(owner.client, signinToken, proof), "INCORRECTLY_FORMED");
    }
    expect((await verify(owner.client, signinToken, { totp })).status).toBe(200);
    expect(granted(await factorsOf(owner).list()).recovery_codes_left).toBe(10);
  });
});

describe("the limit of wrong codes", () => {
  test("ten an hour whatever their kind; then 403 with Retry-After, also for a right one, and one notice", async () => {
    const owner = await server.signUp();
    const { secret, codes } = await enrolTotp(server, owner);
    const { email } = owner.user;
    const token = await signInQuietly(owner);
    await guess(owner, token, secret, 9);
    expect(subjectsTo(server, email)).not.toContain(LIMIT_REACHED);
    server.clock.aheadMs += 10 * 60 * SECOND_MS;
    await guess(owner, token, secret, 1);
    expect(subjectsTo(server, email).filter((subject) => subject === LIMIT_REACHED)).toHaveLength(1);

    for (const proof of [{ totp: nextTotpCode(server, secret) }, { recovery_code: codes[0] ?? "" }]) {
      const refused = await verify(owner.client, token, proof);
      expectError(refused, "TOO_MANY_ATTEMPTS");
      const waitSecs = Number(refused.headers.get("retry-after"));
      expect(waitSecs > 3600 - 600 - 60 && waitSecs <= 3600 - 600 - 30).toBe(true);
    }
    expect(subjectsTo(server, email).filter((subject) => subject === LIMIT_REACHED)).toHaveLength(1);
  });

  test("mailed codes still work then, and another account is not concerned", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    const { secret } = await enrolTotp(server, ann);
    const { secret: bens } = await enrolTotp(server, ben);
    const { signinToken, otp } = await signInAgain(server, ann.user);
    await guess(ann, signinToken, secret, 10);
    expectError(await verify(ann.client, signinToken, { totp: nextTotpCode(server, secret) }), "TOO_MANY_ATTEMPTS");
    expect((await ann.client.verifyOtp(signinToken, otp)).status).toBe(200);
    expect(
      (await verify(ben.client, await signInQuietly(ben), { totp: totpCode(bens, server.services.now()) })).status,
    ).toBe(200);
  });

  test("it is the account's: another sign-in token does not begin anew; after the hour it does", async () => {
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    await guess(owner, await signInQuietly(owner), secret, 5);
    await guess(owner, await signInQuietly(owner), secret, 5);
    const token = await signInQuietly(owner);
    const refused = await verify(owner.client, token, { totp: nextTotpCode(server, secret) });
    expectError(refused, "TOO_MANY_ATTEMPTS");

    server.clock.aheadMs += Number(refused.headers.get("retry-after")) * SECOND_MS;
    const next = await signInQuietly(owner);
    expect((await verify(owner.client, next, { totp: nextTotpCode(server, secret) })).status).toBe(200);
  });

  test.each<[string, (secret: Uint8Array) => { totp: string } | { recovery_code: string }]>([
    ["codes of the app", (secret) => ({ totp: wrongTotpCode(server, secret) })],
    ["recovery codes", () => ({ recovery_code: "0000-0000-0000" })],
  ])("twenty guesses at once, of %s: ten are looked at, and one notice goes out", async (_what, wrongProof) => {
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    const token = await signInQuietly(owner);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => verify(owner.client, token, wrongProof(secret))),
    );
    expect(countByStatus(answers)).toEqual({ "401 INCORRECT_CREDENTIAL": 10, "403 TOO_MANY_ATTEMPTS": 10 });
    expect(subjectsTo(server, owner.user.email).filter((subject) => subject === LIMIT_REACHED)).toHaveLength(1);
  });

  test("what is right does not count, and forgives nothing", async () => {
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    const failures = async () => {
      const [row] = await server.db`
        select failures from second_factor_attempts where user_id = ${await userIdOf(server, owner.user)}`;
      return row?.failures;
    };
    await guess(owner, await signInQuietly(owner), secret, 4);
    for (let times = 0; times < 3; times++) {
      const token = await signInQuietly(owner);
      expect((await verify(owner.client, token, { totp: nextTotpCode(server, secret) })).status).toBe(200);
    }
    expect(await failures()).toBe(4);
    await guess(owner, await signInQuietly(owner), secret, 6);
    expectError(
      await verify(owner.client, await signInQuietly(owner), { totp: nextTotpCode(server, secret) }),
      "TOO_MANY_ATTEMPTS",
    );
  });

  test("passkeys count too, and a refused one keeps its challenge", async () => {
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    const { authenticator } = await enrolPasskey(owner);
    const token = await signInQuietly(owner);
    await guess(owner, token, secret, 9);
    const { json } = granted(await passkeyOptions(owner.client, token));
    const foreign = new Authenticator("https://entries.example.org").assert(json);
    expectError(await verify(owner.client, token, { passkey: foreign }), "INCORRECT_CREDENTIAL");
    const { json: fresh } = granted(await passkeyOptions(owner.client, token));
    expectError(await verify(owner.client, token, { passkey: authenticator.assert(fresh) }), "TOO_MANY_ATTEMPTS");
    const challenges = await server.db`
      select from passkey_challenges where user_id = ${await userIdOf(server, owner.user)} and purpose = 'sign-in'`;
    expect(challenges).toHaveLength(1);
  });

  test("an account without factors is guessed at no further either: its owner hears that the password is known", async () => {
    const owner = await server.signUp();
    const { signinToken, otp } = await signInAgain(server, owner.user);
    await guess(owner, signinToken, randomBytes(20), 10);
    expectError(await verify(owner.client, signinToken, { totp: "123456" }), "TOO_MANY_ATTEMPTS");
    expect(subjectsTo(server, owner.user.email).at(-1)).toBe(LIMIT_REACHED);
    expect((await owner.client.verifyOtp(signinToken, otp)).status).toBe(200);
  });

  test.each<[string, (owner: Owner) => Promise<string>]>([
    [
      "used",
      async (owner) => {
        const { signinToken, otp } = await signInAgain(server, owner.user);
        expect((await owner.client.verifyOtp(signinToken, otp)).status).toBe(200);
        return signinToken;
      },
    ],
    [
      "of another epoch",
      async (owner) => {
        const token = await signInQuietly(owner);
        await server.db`update users set token_epoch = gen_random_uuid() where email = ${owner.user.email}`;
        return token;
      },
    ],
  ])("a sign-in token that is %s counts nothing", async (_what, voidToken) => {
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    const token = await voidToken(owner);
    for (let times = 0; times < 12; times++) {
      const proof = { totp: wrongTotpCode(server, secret) };
      expectError(await verify(owner.client, token, proof), "INCORRECT_CREDENTIAL");
    }
    expect(subjectsTo(server, owner.user.email)).not.toContain(LIMIT_REACHED);
  });
});

describe("removing a factor", () => {
  test("A16: it needs the password", async () => {
    const owner = await server.signUp();
    const { id, secret } = await enrolTotp(server, owner);
    expectError(await factorsOf(owner).remove(id, randomBytes(32)), "INCORRECT_CREDENTIAL");
    expect(
      (await verify(owner.client, await signInQuietly(owner), { totp: nextTotpCode(server, secret) })).status,
    ).toBe(200);
  });

  test("another user's, an unknown and a removed one are KEY_DOES_NOT_EXIST, and nothing changes", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    const { id, secret } = await enrolTotp(server, ann);
    await enrolPasskey(ann);
    const { id: bens } = await enrolTotp(server, ben);
    const mails = server.letters.length;
    for (const { id: foreign } of granted(await factorsOf(ann).list()).factors) {
      expectError(await factorsOf(ben).remove(foreign, ben.user.auth_string), "KEY_DOES_NOT_EXIST");
    }
    expectError(await factorsOf(ben).remove(crypto.randomUUID(), ben.user.auth_string), "KEY_DOES_NOT_EXIST");
    expect(server.letters).toHaveLength(mails);
    expect(granted(await factorsOf(ann).list()).factors).toHaveLength(2);
    expect(granted(await factorsOf(ben).list())).toEqual({
      factors: [{ id: bens, kind: "totp" }],
      recovery_codes_left: 10,
    });
    expect((await verify(ann.client, await signInQuietly(ann), { totp: nextTotpCode(server, secret) })).status).toBe(
      200,
    );

    expectEmptyOk(await factorsOf(ann).remove(id, ann.user.auth_string));
    expectError(await factorsOf(ann).remove(id, ann.user.auth_string), "KEY_DOES_NOT_EXIST");
  });

  test("of several requests at once one removes it, with one notice", async () => {
    const owner = await server.signUp();
    const { id } = await enrolTotp(server, owner);
    await enrolPasskey(owner);
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => factorsOf(owner).remove(id, owner.user.auth_string)),
    );
    expect(countByStatus(answers)).toEqual({ "200": 1, "404 KEY_DOES_NOT_EXIST": 3 });
    const removals = subjectsTo(server, owner.user.email).filter((subject) => subject.includes("removed"));
    expect(removals).toHaveLength(1);
    expect(granted(await factorsOf(owner).list()).recovery_codes_left).toBe(10);
  });

  test("all factors removed at once leave none, and no codes", async () => {
    const owner = await server.signUp();
    await enrolTotp(server, owner);
    for (let count = 0; count < 3; count++) await enrolPasskey(owner);
    const { factors } = granted(await factorsOf(owner).list());
    const answers = await Promise.all(factors.map(({ id }) => factorsOf(owner).remove(id, owner.user.auth_string)));
    expect(countByStatus(answers)).toEqual({ "200": 4 });
    expect(granted(await factorsOf(owner).list())).toEqual({ factors: [], recovery_codes_left: 0 });
    const mails = server.letters.length;
    await signInQuietly(owner);
    expect(server.letters).toHaveLength(mails + 1);
  });

  test("confirmed and removed at once: either it was removed before, or it is gone with its codes", async () => {
    for (let round = 0; round < 4; round++) {
      const owner = await server.signUp();
      const factors = factorsOf(owner);
      const { id, secret } = granted(await factors.beginTotp(owner.user.auth_string));
      const user_id = await userIdOf(server, owner.user);
      const code = totpCode(secret, server.services.now());
      const requests = [() => factors.confirmTotp(code), () => factors.remove(id, owner.user.auth_string)];
      const [confirmed, removed] = await heldUp<Answer<unknown>>(
        server.db,
        (transaction) => transaction`select from second_factors where user_id = ${user_id} for update`,
        requests,
      );
      expect([confirmed?.error?.err_type, removed?.status]).toEqual([
        confirmed?.status === 200 ? undefined : "INVALID_STATE",
        200,
      ]);
      const [row] = await server.db`
        select factors, cardinality(recovery_code_hmacs) as codes from second_factors where user_id = ${user_id}`;
      expect(row).toEqual({ factors: 0, codes: 0 });
      expect(await server.db`select from totp_factors where user_id = ${user_id}`).toHaveLength(0);
    }
  });

  test("an app that was not confirmed is removed without a notice, and the codes stay", async () => {
    const owner = await server.signUp();
    await enrolPasskey(owner);
    const { id } = granted(await factorsOf(owner).beginTotp(owner.user.auth_string));
    const mails = server.letters.length;
    expectEmptyOk(await factorsOf(owner).remove(id, owner.user.auth_string));
    expect(server.letters).toHaveLength(mails);
    expect(granted(await factorsOf(owner).list()).recovery_codes_left).toBe(10);
  });
});

describe("an account that is gone", () => {
  test("leaves no row of its factors, and its access token is TOKEN_EXPIRED on every route", async () => {
    const owner = await server.signUp();
    const { codes } = await enrolTotp(server, owner);
    await enrolPasskey(owner);
    const { json } = granted(await factorsOf(owner).beginPasskey(owner.user.auth_string));
    const token = await signInQuietly(owner);
    expectError(await verify(owner.client, token, { recovery_code: "0000-0000-0000" }), "INCORRECT_CREDENTIAL");
    await passkeyOptions(owner.client, token);
    const user_id = await userIdOf(server, owner.user);
    await server.db`delete from users where id = ${user_id}`;

    for (const table of [
      "second_factors",
      "totp_factors",
      "passkeys",
      "passkey_challenges",
      "second_factor_attempts",
    ]) {
      expect([table, ...(await server.db`select * from ${server.db(table)} where user_id = ${user_id}`)]).toEqual([
        table,
      ]);
    }
    const factors = factorsOf(owner);
    const { auth_string } = owner.user;
    expectError(await factors.list(), "TOKEN_EXPIRED");
    expectError(await factors.beginTotp(auth_string), "TOKEN_EXPIRED");
    expectError(await factors.confirmTotp("123456"), "TOKEN_EXPIRED");
    expectError(await factors.beginPasskey(auth_string), "TOKEN_EXPIRED");
    expectError(
      await factors.addPasskey(new Authenticator("https://entries.example.org").register(json)),
      "TOKEN_EXPIRED",
    );
    expectError(await factors.renewCodes(auth_string), "TOKEN_EXPIRED");
    expectError(await factors.remove(crypto.randomUUID(), auth_string), "TOKEN_EXPIRED");
    expectError(await offerOf(owner.client, token), "TOKEN_EXPIRED");
    expectError(await verify(owner.client, token, { recovery_code: codes[0] ?? "" }), "INCORRECT_CREDENTIAL");
  });
});

describe("tokens of the reference", () => {
  test("A2: they enrol a factor and finish a sign-in too", async () => {
    const owner = await server.signUp();
    const { email } = owner.user;
    const user_id = await userIdOf(server, owner.user);
    const access = referenceToken(server, "Access", { user_id, email });
    const device = Object.assign(new Device(owner.client, access, ""), { user: owner.user });
    const { codes } = await enrolPasskey(device);
    const token = referenceToken(server, "SignIn", { user_id, email });
    expect((await verify(owner.client, token, { recovery_code: codes[0] ?? "" })).status).toBe(200);
    expectError(await verify(owner.client, token, { recovery_code: codes[1] ?? "" }), "INCORRECT_CREDENTIAL");
  });
});

describe("logs", () => {
  test("P9: no line holds a code, a secret, an address or an answer of a passkey", async () => {
    const owner = await server.signUp();
    const { secret, codes } = await enrolTotp(server, owner);
    const { authenticator } = await enrolPasskey(owner);
    const token = await signInQuietly(owner);
    const { json } = granted(await passkeyOptions(owner.client, token));
    const passkey = authenticator.assert(json, { origin: "https://elsewhere.example" });
    await verify(owner.client, token, { passkey });
    const totp = nextTotpCode(server, secret);
    await verify(owner.client, token, { totp });
    await verify(owner.client, await signInQuietly(owner), { recovery_code: codes[0] ?? "" });
    server.services.log.flush();
    const text = server.logLines.join("");
    const { challenge } = JSON.parse(json);
    for (const secretText of [
      ...codes,
      secret.toHex(),
      Buffer.from(secret).toString("base64"),
      owner.user.email,
      token,
      challenge,
      authenticator.id,
      `"${totp}"`,
    ]) {
      expect(text).not.toContain(secretText);
    }
    expect(text).toContain("/api/user/second-factor/totp/confirm");
  });
});
