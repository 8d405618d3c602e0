import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { AuthStringAndEncryptedPasswordUpdate } from "../../src/credential/messages.ts";
import { overloaded } from "../../src/errors.ts";
import { countByStatus, granted, signInAgain, wrong } from "../support/accounts.ts";
import { ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import {
  attemptsLeft,
  noticesTo,
  passwordUpdate,
  putPassword,
  readyToChange,
  storedAccount,
  withService,
} from "./changes.ts";

const MINUTE_MS = 60_000;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const ready = () => readyToChange(server);

/** A change that must be refused and must leave everything as it is, the passcode included. */
async function refused(
  update: AuthStringAndEncryptedPasswordUpdate,
  type: Parameters<typeof expectError>[1],
): Promise<void> {
  await expectUnchanged(server.db, async () => expectError(await putPassword(server.client(), update), type));
}

describe.each([...ENCODINGS])("PUT /api/user/password in %s", (encoding) => {
  test("8.6: the right passcode changes all ten columns and the epoch, nothing else", async () => {
    const { user, otp } = await ready();
    const before = await storedAccount(server, user);
    const update = passwordUpdate(user, otp);
    expectEmptyOk(await putPassword(server.client(encoding), update));

    const { auth_string_hash, token_epoch, ...after } = await storedAccount(server, user);
    const { auth_string_hash: hashBefore, token_epoch: epochBefore, ...expected } = before;
    expect(after).toEqual({
      ...expected,
      refuses_reference_tokens: true,
      auth_string_hash_salt: Buffer.from(update.auth_string_hash_salt),
      auth_string_hash_mem_cost_kib: update.auth_string_hash_mem_cost_kib,
      auth_string_hash_threads: update.auth_string_hash_threads,
      auth_string_hash_iterations: update.auth_string_hash_iterations,
      password_encryption_key_salt: Buffer.from(update.password_encryption_key_salt),
      password_encryption_key_mem_cost_kib: update.password_encryption_key_mem_cost_kib,
      password_encryption_key_threads: update.password_encryption_key_threads,
      password_encryption_key_iterations: update.password_encryption_key_iterations,
      encryption_key_encrypted_with_password: Buffer.from(update.encrypted_encryption_key),
    });
    expect(await server.services.passwords.verify(String(auth_string_hash), update.new_auth_string)).toBe(true);
    expect(auth_string_hash).not.toBe(hashBefore);
    expect(token_epoch).not.toBe(epochBefore);
  });
});

describe("PUT /api/user/password", () => {
  test("8.6: then the new password signs in and the old one does not", async () => {
    const { user, otp } = await ready();
    const update = passwordUpdate(user, otp);
    expectEmptyOk(await putPassword(server.client(), update));
    expectError(await server.client().signIn(user.email, user.auth_string), "INCORRECT_CREDENTIAL");
    const { signinToken, otp: next } = await signInAgain(server, { ...user, auth_string: update.new_auth_string });
    const session = granted(await server.client().verifyOtp(signinToken, next));
    expect(session.encryption_key_encrypted_with_password).toEqual(new Uint8Array(update.encrypted_encryption_key));
  });

  test("W10: the address is found in any letter case", async () => {
    const { user, otp } = await ready();
    expectEmptyOk(
      await putPassword(server.client(), passwordUpdate({ ...user, email: user.email.toUpperCase() }, otp)),
    );
  });

  test.each([
    ["new_auth_string", 1024],
    ["auth_string_hash_salt", 1024],
    ["password_encryption_key_salt", 1024],
    ["encrypted_encryption_key", 4096],
  ])("8.6: %s over %d bytes is 413 and changes nothing; with exactly so many it passes", async (field, bytesMax) => {
    const { user, otp } = await ready();
    await refused(passwordUpdate(user, otp, { [field]: randomBytes(bytesMax + 1) }), "INPUT_TOO_LARGE");
    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp, { [field]: randomBytes(bytesMax) })));
  });

  test("8.6: sizes are told in the contract's order, before form", async () => {
    const { user, otp } = await ready();
    const order = [
      "new_auth_string",
      "auth_string_hash_salt",
      "password_encryption_key_salt",
      "encrypted_encryption_key",
    ];
    for (let first = 0; first < order.length; first++) {
      const tooLarge = Object.fromEntries(order.slice(first).map((field) => [field, randomBytes(5000)]));
      const update = passwordUpdate(user, otp, { ...tooLarge, auth_string_hash_threads: 0 });
      const { error } = await putPassword(server.client(), update);
      expect(error).toMatchObject({
        err_type: "INPUT_TOO_LARGE",
        err_message: expect.stringContaining(`${order[first]} `),
      });
    }
  });

  test.each<[string, Partial<AuthStringAndEncryptedPasswordUpdate>]>([
    ["an empty auth string", { new_auth_string: new Uint8Array(0) }],
    ["a salt of 15 bytes for the auth string", { auth_string_hash_salt: randomBytes(15) }],
    ["a salt of 15 bytes for the key", { password_encryption_key_salt: randomBytes(15) }],
    ["too little memory for the auth string", { auth_string_hash_mem_cost_kib: 19_455 }],
    ["too little memory for the key", { password_encryption_key_mem_cost_kib: 19_455 }],
    ["no thread", { auth_string_hash_threads: 0 }],
    ["too many threads", { password_encryption_key_threads: 17 }],
    ["one iteration in little memory", { auth_string_hash_mem_cost_kib: 47_103, auth_string_hash_iterations: 1 }],
    ["too many iterations", { password_encryption_key_iterations: 65 }],
    ["a negative number", { auth_string_hash_iterations: -1 }],
  ])("A14, S20: %s is INCORRECTLY_FORMED and changes nothing", async (_what, change) => {
    const { user, otp } = await ready();
    await refused(passwordUpdate(user, otp, change), "INCORRECTLY_FORMED");
    expect(await attemptsLeft(server, user)).toBe(5);
  });

  test("C16: it is not 200 when nothing was changed, whatever text the address is", async () => {
    const { user, otp } = await ready();
    const texts = [
      "",
      "nobody@example.com",
      `${user.email}\0`,
      "\0",
      "ä@ö.ü",
      " ",
      `${"a".repeat(100_000)}@example.com`,
    ];
    for (const email of texts) await refused(passwordUpdate({ ...user, email }, otp), "INCORRECT_CREDENTIAL");
  });
});

describe("the passcode of a password change", () => {
  test("8.6: a wrong one is INCORRECT_CREDENTIAL and changes nothing but the attempts; the right one still passes", async () => {
    const { user, otp } = await ready();
    const before = await storedAccount(server, user);
    expectError(await putPassword(server.client(), passwordUpdate(user, wrong(otp))), "INCORRECT_CREDENTIAL");
    expect(await storedAccount(server, user)).toEqual(before);
    expect(await attemptsLeft(server, user)).toBe(4);
    expect(noticesTo(server, user.email)).toEqual([]);
    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp)));
  });

  test("A7: five wrong guesses void it", async () => {
    const { user, otp } = await ready();
    for (let guess = 0; guess < 5; guess++) {
      expectError(await putPassword(server.client(), passwordUpdate(user, wrong(otp))), "INCORRECT_CREDENTIAL");
    }
    await refused(passwordUpdate(user, otp), "INCORRECT_CREDENTIAL");
  });

  test("A7: guesses that are sent at once all count", async () => {
    const { user, otp } = await ready();
    const guesses = Array.from({ length: 8 }, () => putPassword(server.client(), passwordUpdate(user, wrong(otp))));
    expect(countByStatus(await Promise.all(guesses))).toEqual({ "401 INCORRECT_CREDENTIAL": 8 });
    await refused(passwordUpdate(user, otp), "INCORRECT_CREDENTIAL");
  });

  test("4.3: one that is too long, with a space or of no digits is wrong", async () => {
    const { user, otp } = await ready();
    await refused(passwordUpdate(user, `${otp}0`), "INCORRECT_CREDENTIAL");
    await refused(passwordUpdate(user, `${otp.slice(0, 4)} ${otp.slice(4)}`), "INCORRECT_CREDENTIAL");
    expectError(await putPassword(server.client(), passwordUpdate(user, "a\0é")), "INCORRECT_CREDENTIAL");
    expectError(await putPassword(server.client(), passwordUpdate(user, "")), "INCORRECT_CREDENTIAL");
    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp)));
  });

  test("A7: it lives ten minutes", async () => {
    const { user, otp } = await ready();
    server.clock.aheadMs += 10 * MINUTE_MS;
    await refused(passwordUpdate(user, otp), "INCORRECT_CREDENTIAL");
  });

  test("4.3: it works once", async () => {
    const { user, otp } = await ready();
    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp)));
    await refused(passwordUpdate(user, otp), "INCORRECT_CREDENTIAL");
  });

  test("C10: of several changes at once with one passcode exactly one is made, and no other answers 500", async () => {
    const { user, otp } = await ready();
    const updates = Array.from({ length: 6 }, () => passwordUpdate(user, otp));
    const answers = await Promise.all(updates.map((update) => putPassword(server.client(), update)));
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 5 });
    const winner = updates[answers.findIndex(({ status }) => status === 200)];
    const { auth_string_hash, encryption_key_encrypted_with_password: key } = await storedAccount(server, user);
    const isWinners = await server.services.passwords.verify(
      String(auth_string_hash),
      winner?.new_auth_string ?? randomBytes(1),
    );
    expect(isWinners).toBe(true);
    expect(key).toEqual(Buffer.from(winner?.encrypted_encryption_key ?? []));
    expect(noticesTo(server, user.email)).toEqual(["password-changed"]);
  });

  test("A7, S6: the passcode of a sign-in cannot change the password, and still signs in", async () => {
    const { user } = await server.signUp();
    const { signinToken, otp } = await signInAgain(server, user);
    await refused(passwordUpdate(user, otp), "INCORRECT_CREDENTIAL");
    expect((await server.client().verifyOtp(signinToken, otp)).status).toBe(200);
  });

  test("A7: another account's passcode cannot either", async () => {
    const ann = await ready();
    const ben = await ready();
    expectError(await putPassword(server.client(), passwordUpdate(ann.user, ben.otp)), "INCORRECT_CREDENTIAL");
    expect(await attemptsLeft(server, ben.user)).toBe(5);
  });

  test("C11: it is not lost when the server has no time to hash: 503, and nothing changed", async () => {
    const { user, otp } = await ready();
    const hash = async () => {
      throw overloaded("The server is checking too many passwords at the moment.", 5);
    };
    const answer = await withService(server, "passwords", { hash }, async () => {
      let refusal: Awaited<ReturnType<typeof putPassword>> | undefined;
      await expectUnchanged(server.db, async () => {
        refusal = await putPassword(server.client(), passwordUpdate(user, otp));
      });
      return refusal;
    });
    expect({ status: answer?.status, retryAfter: answer?.headers.get("retry-after") }).toEqual({
      status: 503,
      retryAfter: "5",
    });
    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp)));
  });
});
