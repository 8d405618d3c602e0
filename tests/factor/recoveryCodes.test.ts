/** Recovery codes: how they look, that they work once each, and come and go with the factors. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Executor } from "../../src/db/query.ts";
import { newRecoveryCodes, recoveryCodeHmac } from "../../src/factor/recoveryCodes.ts";
import { countByStatus, granted, sessionsOf, userIdOf } from "../support/accounts.ts";
import { ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import {
  enrolPasskey,
  enrolTotp,
  FACTOR_ENVIRONMENT,
  factorsOf,
  type Owner,
  offerOf,
  signInQuietly,
  subjectsTo,
  verify,
} from "../support/factors.ts";
import { heldUp } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer(FACTOR_ENVIRONMENT);
});
afterAll(() => server.stop());

const signInWith = async (owner: Owner, recovery_code: string) =>
  verify(owner.client, await signInQuietly(owner), { recovery_code });
const codesLeft = async (owner: Owner) => granted(await factorsOf(owner).list()).recovery_codes_left;

const lockOf = (user_id: string) => (transaction: Executor) =>
  transaction`select from second_factors where user_id = ${user_id} for update`;

describe("a recovery code", () => {
  test("has 60 random bits in three groups without look-alikes; ten are made", () => {
    const user_id = crypto.randomUUID();
    const codes = Array.from({ length: 100 }, () => newRecoveryCodes(server.services, user_id).codes);
    for (const ten of codes) expect(ten).toHaveLength(10);
    const all = codes.flat();
    expect(new Set(all).size).toBe(1000);
    for (const code of all) expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
    // Each place takes each of the 32 characters: 1000 codes leave one out about once in 10^12 runs.
    for (let place = 0; place < 12; place++) {
      expect(new Set(all.map((code) => code.replaceAll("-", "")[place])).size).toBe(32);
    }
  });

  test("is stored only as HMAC, under a key of its own, bound to the account", async () => {
    const owner = await server.signUp();
    const { codes } = await enrolTotp(server, owner);
    const user_id = await userIdOf(server, owner.user);
    const [row] = await server.db`
      select second_factors::text as whole, cardinality(recovery_code_hmacs) as count from second_factors
      where user_id = ${user_id}`;
    expect(row?.count).toBe(10);
    for (const code of codes) {
      const plain = code.replaceAll("-", "");
      for (const form of [code, plain, Buffer.from(code).toString("hex"), Buffer.from(plain).toString("hex")]) {
        expect(row?.whole).not.toContain(form);
      }
      const hmac = recoveryCodeHmac(server.services, user_id, code) ?? new Uint8Array(0);
      expect(row?.whole).toContain(Buffer.from(hmac).toString("hex"));
      const ofAnother = recoveryCodeHmac(server.services, crypto.randomUUID(), code);
      expect(ofAnother).not.toEqual(hmac);
    }
  });

  test.each([...ENCODINGS])("in %s finishes a sign-in, once, with a notice", async (encoding) => {
    const owner = await server.signUp(undefined, encoding);
    const { codes } = await enrolTotp(server, owner);
    const [code = ""] = codes;
    const session = granted(await signInWith(owner, code));
    expect(session.user_keystore_encrypted).toEqual(new Uint8Array(owner.user.user_keystore_encrypted));
    expect((await owner.client.refresh(session.tokens?.refresh_token ?? "")).status).toBe(200);
    expect(subjectsTo(server, owner.user.email).at(-1)).toBe("A recovery code was used to sign in");
    expect(await codesLeft(owner)).toBe(9);

    const mails = server.letters.length;
    expectError(await signInWith(owner, code), "INCORRECT_CREDENTIAL");
    expect(await codesLeft(owner)).toBe(9);
    expect(server.letters.slice(mails).map(({ subject }) => subject)).toEqual([
      expect.stringContaining("A wrong code was given for your account"),
    ]);
  });

  test("is read in any letter case, with or without dashes and spaces, and with look-alikes", async () => {
    const owner = await server.signUp();
    const { codes } = await enrolTotp(server, owner);
    const spellings = [
      (code: string) => code.toLowerCase(),
      (code: string) => code.replaceAll("-", ""),
      (code: string) => ` ${code.replaceAll("-", " ")}\n`,
      (code: string) => code.split("").join("-"),
      (code: string) => code.replaceAll("0", "O").replaceAll("1", "l"),
      (code: string) => code.replaceAll("0", "o").replaceAll("1", "I"),
    ];
    for (const [index, spell] of spellings.entries()) {
      expect((await signInWith(owner, spell(codes[index] ?? ""))).status).toBe(200);
    }
    expect(await codesLeft(owner)).toBe(4);
  });

  test("of several sign-ins at once with one code exactly one passes", async () => {
    const owner = await server.signUp();
    const { codes } = await enrolTotp(server, owner);
    const tokens = await Promise.all(Array.from({ length: 5 }, () => signInQuietly(owner)));
    const answers = await heldUp(
      server.db,
      lockOf(await userIdOf(server, owner.user)),
      tokens.map((token) => () => verify(owner.client, token, { recovery_code: codes[3] ?? "" })),
    );
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 4 });
    expect(await codesLeft(owner)).toBe(9);
    expect(await sessionsOf(server, owner.user)).toHaveLength(2);
  });

  test("several sign-ins at once with different codes all pass", async () => {
    const owner = await server.signUp();
    const { codes } = await enrolTotp(server, owner);
    const tokens = await Promise.all(Array.from({ length: 5 }, () => signInQuietly(owner)));
    const answers = await heldUp(
      server.db,
      lockOf(await userIdOf(server, owner.user)),
      tokens.map((token, index) => () => verify(owner.client, token, { recovery_code: codes[index] ?? "" })),
    );
    expect(countByStatus(answers)).toEqual({ "200": 5 });
    expect(await codesLeft(owner)).toBe(5);
  });

  test("of another account is of no use", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    const { codes } = await enrolTotp(server, ann);
    await enrolTotp(server, ben);
    expectError(await signInWith(ben, codes[0] ?? ""), "INCORRECT_CREDENTIAL");
    expect((await signInWith(ann, codes[0] ?? "")).status).toBe(200);
  });

  test("that can be none is INCORRECT_CREDENTIAL and not counted", async () => {
    const owner = await server.signUp();
    const { codes } = await enrolTotp(server, owner);
    const [code = ""] = codes;
    const token = await signInQuietly(owner);
    for (const text of [
      "",
      "-",
      code.slice(1),
      `${code}0`,
      `${code.slice(0, -1)}U`,
      "é".repeat(12),
      "A".repeat(100_000),
    ]) {
      for (let times = 0; times < 2; times++) {
        expectError(await verify(owner.client, token, { recovery_code: text }), "INCORRECT_CREDENTIAL");
      }
    }
    expect((await verify(owner.client, token, { recovery_code: code })).status).toBe(200);
  });
});

describe("the codes of an account", () => {
  test("come with the first factor, whichever it is, and not with the next ones", async () => {
    const ann = await server.signUp();
    expect((await enrolTotp(server, ann)).codes).toHaveLength(10);
    expect((await enrolPasskey(ann)).codes).toEqual([]);
    const ben = await server.signUp();
    expect((await enrolPasskey(ben)).codes).toHaveLength(10);
    expect((await enrolPasskey(ben)).codes).toEqual([]);
    expect((await enrolTotp(server, ben)).codes).toEqual([]);
    expect(await codesLeft(ben)).toBe(10);
  });

  test("go with the last factor, and come anew with the next first one", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    const { auth_string, email } = owner.user;
    const { id, codes } = await enrolTotp(server, owner);
    await enrolPasskey(owner);
    expectEmptyOk(await factors.remove(id, auth_string));
    expect(await codesLeft(owner)).toBe(10);
    const [passkey] = granted(await factors.list()).factors;
    expectEmptyOk(await factors.remove(passkey?.id ?? "", auth_string));
    expect(await codesLeft(owner)).toBe(0);
    expectError(await signInWith(owner, codes[0] ?? ""), "INCORRECT_CREDENTIAL");
    expect(subjectsTo(server, email)).toContain("A second factor was removed from your account");

    const { codes: next } = await enrolPasskey(owner);
    expect(next).toHaveLength(10);
    expect(next.filter((code) => codes.includes(code))).toEqual([]);
    expect((await signInWith(owner, next[0] ?? "")).status).toBe(200);
  });

  test("are replaced for the right password, with a notice; the old ones are void", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    const { auth_string, email } = owner.user;
    const { codes } = await enrolTotp(server, owner);
    expectError(await factors.renewCodes(randomBytes(32)), "INCORRECT_CREDENTIAL");
    expect((await signInWith(owner, codes[0] ?? "")).status).toBe(200);

    const renewed = await factors.renewCodes(auth_string);
    expect(renewed.status).toBe(200);
    const { codes: next } = granted(renewed);
    expect(next).toHaveLength(10);
    expect(await codesLeft(owner)).toBe(10);
    expect(subjectsTo(server, email).at(-1)).toBe("Your account has new recovery codes");
    expectError(await signInWith(owner, codes[1] ?? ""), "INCORRECT_CREDENTIAL");
    expect((await signInWith(owner, next[0] ?? "")).status).toBe(200);
  });

  test("without a confirmed factor there are none: INVALID_STATE", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    expectError(await factors.renewCodes(owner.user.auth_string), "INVALID_STATE");
    await factors.beginTotp(owner.user.auth_string);
    expectError(await factors.renewCodes(owner.user.auth_string), "INVALID_STATE");
    expect(granted(await offerOf(owner.client, await signInQuietly(owner))).recovery_codes_left).toBe(0);
  });

  test("renewed twice at once, they are those of one of the answers", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    await enrolTotp(server, owner);
    const answers = await Promise.all([1, 2, 3].map(() => factors.renewCodes(owner.user.auth_string)));
    expect(countByStatus(answers)).toEqual({ "200": 3 });
    const firstCodes = answers.map(({ value }) => value?.codes[0] ?? "");
    const signIns = [];
    for (const code of firstCodes) signIns.push(await signInWith(owner, code));
    expect(countByStatus(signIns)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 2 });
    expect(await codesLeft(owner)).toBe(9);
  });
});
