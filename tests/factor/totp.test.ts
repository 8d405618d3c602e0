/** Authenticator apps: RFC 6238 through the server, enrolment, sign-in, replay. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { newTotpSecret, totpStepOf } from "../../src/factor/totp.ts";
import { countByStatus, granted, secondDevice, sessionsOf, signInAgain, userIdOf } from "../support/accounts.ts";
import { Device } from "../support/client.ts";
import { ENCODINGS, expectError, speaking } from "../support/containerCalls.ts";
import {
  enrolTotp,
  FACTOR_ENVIRONMENT,
  factorsOf,
  nextTotpCode,
  offerOf,
  signInQuietly,
  subjectsTo,
  TOTP_PERIOD_MS,
  totpCode,
  verify,
  wrongTotpCode,
} from "../support/factors.ts";
import { heldUp } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer(FACTOR_ENVIRONMENT);
});
afterAll(() => server.stop());

const clockNow = () => server.services.now();

describe("RFC 6238", () => {
  const SECRET = Buffer.from("12345678901234567890");

  // Appendix B has eight digits; six are their end.
  test.each([
    [59, "94287082"],
    [1111111109, "07081804"],
    [1111111111, "14050471"],
    [1234567890, "89005924"],
    [2000000000, "69279037"],
    [20000000000, "65353130"],
  ])("appendix B: at second %p the code ends %p", (secs, digits) => {
    const code = digits.slice(-6);
    expect(totpStepOf(SECRET, code, secs * 1000)).toBe(BigInt(Math.floor(secs / 30)));
    expect(totpCode(SECRET, secs * 1000)).toBe(code);
  });

  test("section 5.2: a code is taken one step early or late and no more", () => {
    const now = 2_000_000_000_000;
    const step = BigInt(now) / 30_000n;
    const codeAt = (steps: number) => totpCode(SECRET, now + steps * TOTP_PERIOD_MS);
    expect(totpStepOf(SECRET, codeAt(-1), now)).toBe(step - 1n);
    expect(totpStepOf(SECRET, codeAt(1), now)).toBe(step + 1n);
    expect(totpStepOf(SECRET, codeAt(-2), now)).toBeUndefined();
    expect(totpStepOf(SECRET, codeAt(2), now)).toBeUndefined();
  });

  test("RFC 4226 R6: a secret has 160 bits, new each time", () => {
    const secrets = Array.from({ length: 50 }, newTotpSecret);
    expect(secrets.every(({ length }) => length === 20)).toBe(true);
    expect(new Set(secrets.map((secret) => secret.toHex())).size).toBe(50);
  });
});

describe.each([...ENCODINGS])("an authenticator app, in %s", (encoding) => {
  test("the whole way: enrol, list, sign in on another device without mail, remove", async () => {
    const owner = await server.signUp(undefined, encoding);
    const factors = factorsOf(owner);
    const { email, auth_string } = owner.user;
    const begun = await factors.beginTotp(auth_string);
    expect(begun.status).toBe(201);
    const { id, secret, uri } = granted(begun);
    expect(secret).toHaveLength(20);

    const confirmed = await factors.confirmTotp(totpCode(secret, clockNow()));
    expect(confirmed.status).toBe(200);
    const { codes } = granted(confirmed);
    expect(codes).toHaveLength(10);
    expect(granted(await factors.list())).toEqual({ factors: [{ id, kind: "totp" }], recovery_codes_left: 10 });
    expect(new URL(uri).searchParams.get("secret")).toMatch(/^[A-Z2-7]{32}$/);

    const mails = subjectsTo(server, email).length;
    const signinToken = await signInQuietly(owner);
    expect(granted(await offerOf(owner.client, signinToken))).toEqual({
      totp: true,
      passkey: false,
      recovery_codes_left: 10,
    });
    const session = granted(await verify(owner.client, signinToken, { totp: nextTotpCode(server, secret) }));
    expect(subjectsTo(server, email)).toHaveLength(mails);
    expect(session).toMatchObject({
      preferences_version_nonce: owner.user.preferences_version_nonce,
      user_keystore_encrypted: new Uint8Array(owner.user.user_keystore_encrypted),
      encryption_key_encrypted_with_password: new Uint8Array(owner.user.encryption_key_encrypted_with_password),
    });
    const second = new Device(owner.client, session.tokens?.access_token ?? "", session.tokens?.refresh_token ?? "");
    expect((await owner.client.refresh(second.refreshToken)).status).toBe(200);

    const removed = await factorsOf(second).remove(id, auth_string);
    expect({ status: removed.status, value: removed.value }).toEqual({ status: 200, value: undefined });
    expect(granted(await factors.list())).toEqual({ factors: [], recovery_codes_left: 0 });
  });
});

describe("enrolling an authenticator app", () => {
  test("the uri names account and service, and holds the secret and what apps must know", async () => {
    const owner = await server.signUp();
    const { secret, uri } = granted(await factorsOf(owner).beginTotp(owner.user.auth_string));
    const { protocol, host, pathname, searchParams } = new URL(uri);
    expect({ protocol, host }).toEqual({ protocol: "otpauth:", host: "totp" });
    expect(decodeURIComponent(pathname)).toBe(`/Entries App:${owner.user.email}`);
    const { secret: base32 = "", ...rest } = Object.fromEntries(searchParams);
    expect(rest).toEqual({ issuer: "Entries App", algorithm: "SHA1", digits: "6", period: "30" });
    const bits = [...base32].map((char) =>
      "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(char).toString(2).padStart(5, "0"),
    );
    expect(
      BigInt(`0b${bits.join("")}`)
        .toString(16)
        .padStart(40, "0"),
    ).toBe(secret.toHex());
  });

  test("A16: it needs the password, whose wrong guesses are limited", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    // In this test clients have no address, so that the limit of the account's address holds.
    const guessesMax = 10 * server.services.config.signinLimiterMax;
    for (let guesses = 0; guesses < guessesMax; guesses++) {
      expectError(await factors.beginTotp(randomBytes(32)), "INCORRECT_CREDENTIAL");
    }
    const refused = await factors.beginTotp(owner.user.auth_string);
    expectError(refused, "TOO_MANY_ATTEMPTS");
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(
      await server.db`select from totp_factors where user_id = ${await userIdOf(server, owner.user)}`,
    ).toHaveLength(0);
  });

  test("its secret is encrypted at rest, bound to the account", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    const { secret, codes } = await enrolTotp(server, ann);
    await enrolTotp(server, ben);
    const [annId, benId] = [await userIdOf(server, ann.user), await userIdOf(server, ben.user)];
    const [row] = await server.db`
      select octet_length(secret_encrypted) as length, totp_factors::text as whole from totp_factors
      where user_id = ${annId}`;
    expect(row?.length).toBe(12 + 20 + 16);
    expect(row?.whole).not.toContain(secret.toHex());
    expect(codes).toHaveLength(10);

    // Somebody who can write rows, but has no key, cannot make an account's secret his own.
    await server.db`
      update totp_factors set secret_encrypted =
        (select secret_encrypted from totp_factors where user_id = ${annId})
      where user_id = ${benId}`;
    const token = await signInQuietly(ben);
    expectError(await verify(ben.client, token, { totp: nextTotpCode(server, secret) }), "INCORRECT_CREDENTIAL");
    const annToken = await signInQuietly(ann);
    expect((await verify(ann.client, annToken, { totp: totpCode(secret, clockNow()) })).status).toBe(200);
  });

  test("after a change of the token encryption key its codes are wrong, the log says why, and other ways are open", async () => {
    const owner = await server.signUp();
    const { secret, codes } = await enrolTotp(server, owner);
    const environment = { ...FACTOR_ENVIRONMENT, ENTRIES_TOKEN_ENCRYPTION_KEY_B64: randomBytes(16).toString("base64") };
    const other = await startTestServer(environment, server.database);
    try {
      other.clock.aheadMs = server.clock.aheadMs + TOTP_PERIOD_MS;
      const there = Object.assign(new Device(other.client(), "", ""), { user: owner.user });
      const token = await signInQuietly(there);
      const totp = totpCode(secret, other.services.now());
      expectError(await verify(there.client, token, { totp }), "INCORRECT_CREDENTIAL");
      other.services.log.flush();
      expect(other.logLines.join("")).toContain("a TOTP secret cannot be read");
      expect((await verify(there.client, token, { recovery_code: codes[0] ?? "" })).status).toBe(200);
    } finally {
      await other.stop();
    }
    expect(
      (await verify(owner.client, await signInQuietly(owner), { totp: nextTotpCode(server, secret) })).status,
    ).toBe(200);
  });

  test("one that is not confirmed is of no use: not listed, not offered, no sign-in, mails go on", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    const { secret } = granted(await factors.beginTotp(owner.user.auth_string));
    expect(granted(await factors.list())).toEqual({ factors: [], recovery_codes_left: 0 });
    const mails = server.letters.length;
    const token = await signInQuietly(owner);
    expect(server.letters).toHaveLength(mails + 1);
    expect(granted(await offerOf(owner.client, token))).toEqual({
      totp: false,
      passkey: false,
      recovery_codes_left: 0,
    });
    expectError(await verify(owner.client, token, { totp: totpCode(secret, clockNow()) }), "INCORRECT_CREDENTIAL");
  });

  test("beginning again replaces one that was never confirmed; a confirmed one is CONFLICT_WITH_EXISTING", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    const first = granted(await factors.beginTotp(owner.user.auth_string));
    const second = granted(await factors.beginTotp(owner.user.auth_string));
    expectError(await factors.confirmTotp(totpCode(first.secret, clockNow())), "INCORRECT_CREDENTIAL");
    expect((await factors.confirmTotp(totpCode(second.secret, clockNow()))).status).toBe(200);

    expectError(await factors.beginTotp(owner.user.auth_string), "CONFLICT_WITH_EXISTING");
    const token = await signInQuietly(owner);
    expect((await verify(owner.client, token, { totp: nextTotpCode(server, second.secret) })).status).toBe(200);
  });

  test("it can be confirmed for an hour, and once", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    expectError(await factors.confirmTotp("123456"), "INVALID_STATE");
    const stale = granted(await factors.beginTotp(owner.user.auth_string));
    server.clock.aheadMs += 3_600_000;
    const fresh = await secondDevice(server, owner);
    expectError(await factorsOf(fresh).confirmTotp(totpCode(stale.secret, clockNow())), "INVALID_STATE");

    const { secret } = granted(await factorsOf(fresh).beginTotp(owner.user.auth_string));
    const code = totpCode(secret, clockNow());
    const user_id = await userIdOf(server, owner.user);
    const answers = await heldUp(
      server.db,
      (transaction) => transaction`select from totp_factors where user_id = ${user_id} for update`,
      Array.from({ length: 5 }, () => () => factorsOf(fresh).confirmTotp(code)),
    );
    expect(countByStatus(answers)).toEqual({ "200": 1, "400 INVALID_STATE": 4 });
    expect(granted(await factorsOf(fresh).list()).recovery_codes_left).toBe(10);
  });

  test("codes that can be none are INCORRECT_CREDENTIAL and not counted; wrong ones are limited as at sign-in", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    const { secret } = granted(await factors.beginTotp(owner.user.auth_string));
    for (const text of ["", "12345", "1234567", "12345a", "１２３４５６", "123 456", "-12345"]) {
      for (let times = 0; times < 2; times++) expectError(await factors.confirmTotp(text), "INCORRECT_CREDENTIAL");
    }
    const wrong = wrongTotpCode(server, secret);
    const answers = await Promise.all(Array.from({ length: 20 }, () => factors.confirmTotp(wrong)));
    expect(countByStatus(answers)).toEqual({ "401 INCORRECT_CREDENTIAL": 10, "403 TOO_MANY_ATTEMPTS": 10 });
    expectError(await factors.confirmTotp(totpCode(secret, clockNow())), "TOO_MANY_ATTEMPTS");
    expect(subjectsTo(server, owner.user.email).slice(1)).toEqual([
      "A wrong code was given for your account",
      "Too many wrong codes for your account",
    ]);
  });

  test("one account's secret confirms nobody else's", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    const { secret } = granted(await factorsOf(ann).beginTotp(ann.user.auth_string));
    const code = totpCode(secret, clockNow());
    expectError(await factorsOf(ben).confirmTotp(code), "INVALID_STATE");
    expect((await factorsOf(ann).confirmTotp(code)).status).toBe(200);
  });
});

describe("signing in with an authenticator app", () => {
  test("RFC 6238 section 5.2: a code works once, also the one that confirmed the app", async () => {
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    const confirming = totpCode(secret, clockNow());
    expectError(await verify(owner.client, await signInQuietly(owner), { totp: confirming }), "INCORRECT_CREDENTIAL");

    const totp = nextTotpCode(server, secret);
    expect((await verify(owner.client, await signInQuietly(owner), { totp })).status).toBe(200);
    expectError(await verify(owner.client, await signInQuietly(owner), { totp }), "INCORRECT_CREDENTIAL");
  });

  test("after the code of one step, that of an earlier step is refused", async () => {
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    const earlier = nextTotpCode(server, secret);
    const later = nextTotpCode(server, secret);
    expect((await verify(owner.client, await signInQuietly(owner), { totp: later })).status).toBe(200);
    expectError(await verify(owner.client, await signInQuietly(owner), { totp: earlier }), "INCORRECT_CREDENTIAL");
  });

  test("a clock that is half a minute off is fine, one that is more is not", async () => {
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    server.clock.aheadMs += 10 * TOTP_PERIOD_MS;
    const signInAt = async (steps: number) =>
      verify(owner.client, await signInQuietly(owner), { totp: totpCode(secret, clockNow() + steps * TOTP_PERIOD_MS) });
    expectError(await signInAt(-2), "INCORRECT_CREDENTIAL");
    expectError(await signInAt(2), "INCORRECT_CREDENTIAL");
    expect((await signInAt(-1)).status).toBe(200);
    expect((await signInAt(1)).status).toBe(200);
  });

  test("of several sign-ins at once with one code exactly one passes", async () => {
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    const tokens = await Promise.all(Array.from({ length: 5 }, () => signInQuietly(owner)));
    const totp = nextTotpCode(server, secret);
    const user_id = await userIdOf(server, owner.user);
    const answers = await heldUp(
      server.db,
      (transaction) => transaction`select from totp_factors where user_id = ${user_id} for update`,
      tokens.map((token) => () => verify(owner.client, token, { totp })),
    );
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 4 });
    expect(await sessionsOf(server, owner.user)).toHaveLength(2);
  });

  test("S21: a sign-in token opens one session, by whatever it is finished with", async () => {
    const owner = await server.signUp();
    const { secret, codes } = await enrolTotp(server, owner);
    const { signinToken, otp } = await signInAgain(server, owner.user);
    const totp = nextTotpCode(server, secret);
    expect((await verify(owner.client, signinToken, { totp })).status).toBe(200);

    expectError(await verify(owner.client, signinToken, { value: otp }), "INCORRECT_CREDENTIAL");
    expectError(await verify(owner.client, signinToken, { recovery_code: codes[0] ?? "" }), "INCORRECT_CREDENTIAL");
    expectError(
      await verify(owner.client, signinToken, { totp: nextTotpCode(server, secret) }),
      "INCORRECT_CREDENTIAL",
    );
    expectError(await offerOf(owner.client, signinToken), "TOKEN_EXPIRED");
    expect(await sessionsOf(server, owner.user)).toHaveLength(2);
  });

  test("S21: different factors at once with one token: one session, and the others are not used up", async () => {
    const owner = await server.signUp();
    const { secret, codes } = await enrolTotp(server, owner);
    const token = await signInQuietly(owner);
    const totp = nextTotpCode(server, secret);
    const user_id = await userIdOf(server, owner.user);
    const answers = await heldUp(
      server.db,
      async (transaction) => {
        await transaction`select from second_factors where user_id = ${user_id} for update`;
        await transaction`select from totp_factors where user_id = ${user_id} for update`;
      },
      [
        () => verify(owner.client, token, { totp }),
        ...codes.slice(0, 3).map((recovery_code) => () => verify(owner.client, token, { recovery_code })),
      ],
    );
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 3 });
    expect(await sessionsOf(server, owner.user)).toHaveLength(2);
    const [totpAnswer] = answers;
    const { recovery_codes_left } = granted(await factorsOf(owner).list());
    expect(recovery_codes_left).toBe(totpAnswer?.status === 200 ? 10 : 9);
  });

  test("a new epoch voids the token here too", async () => {
    const owner = await server.signUp();
    const { secret } = await enrolTotp(server, owner);
    const token = await signInQuietly(owner);
    await server.db`update users set token_epoch = gen_random_uuid() where email = ${owner.user.email}`;
    expectError(await verify(owner.client, token, { totp: nextTotpCode(server, secret) }), "INCORRECT_CREDENTIAL");
    expectError(await offerOf(owner.client, token), "TOKEN_EXPIRED");
    const next = await signInQuietly(owner);
    expect((await verify(owner.client, next, { totp: totpCode(secret, clockNow()) })).status).toBe(200);
  });

  test("another account's code is of no use", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    const { secret } = await enrolTotp(server, ann);
    await enrolTotp(server, ben);
    const totp = nextTotpCode(server, secret);
    expectError(await verify(ben.client, await signInQuietly(ben), { totp }), "INCORRECT_CREDENTIAL");
  });

  test("a device in the other encoding reads the same list", async () => {
    const owner = await server.signUp();
    const { id } = await enrolTotp(server, owner);
    const { value } = await factorsOf(speaking("json", owner, server)).list();
    expect(value?.factors).toEqual([{ id, kind: "totp" }]);
  });
});
