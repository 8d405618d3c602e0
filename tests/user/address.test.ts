import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { newUser } from "../support/client.ts";
import { expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** Accepted everywhere (accounts.md 4.1). */
const VALID = [
  "test@example.com",
  "test.me@example.com",
  "email@example.co.jp",
  "firstname+lastname@example.com",
  "email@123.123.123.123",
  "email@[123.123.123.123]",
  "1234567890@example.co.uk",
  "email@example-one.com",
  "firstname-lastname@example.com",
  "_______@example.com",
  "a@b.c",
  "o'hara@example.com",
  `${"l".repeat(243)}@example.com`, // 255 characters
];

/** Refused everywhere. */
const INVALID: [why: string, address: string][] = [
  ["256 characters", `${"l".repeat(244)}@example.com`],
  ["over 320 characters", `${"l".repeat(320)}@example.com`],
  ["a space", "te st@example.com"],
  ["a space in front, which is not trimmed", " test@example.com"],
  ["a space behind, which is not trimmed", "test@example.com "],
  ["a character beyond ASCII", "tést@example.com"],
  ["a domain beyond ASCII", "test@exämple.com"],
  ["a letter that lower-cases to ASCII (the Kelvin sign)", "\u212Aate@example.com"],
  ["two @", "test@exam.com@ple.com"],
  ["no @", "testexample.com"],
  ["a dot right behind the @", "test@.com"],
  ["a dot at the end", "test@example.com."],
  ["no dot in the domain", "test@example"],
  ["a domain of two bytes", "test@a."],
  ["nothing before the @", "@example.com"],
  ["nothing at all", ""],
  ["a zero byte", "te\0st@example.com"],
];

/** Refused for new accounts; accounts of the reference may have them (W10). */
const ONLY_OLD: [why: string, address: string][] = [
  ["quotes", '"email"@example.com'],
  ["an opening angle bracket", "a<b@example.com"],
  ["a closing angle bracket", "a>b@example.com"],
  ["a tab", "a\tb@example.com"],
  ["a line feed", "a\nb@example.com"],
  ["a carriage return", "a\rb@example.com"],
  ["a delete character", "a\x7fb@example.com"],
];

async function signInWithoutNonce(email: string) {
  return server.client().signInWith({ email, auth_string: randomBytes(32), nonce: 0 });
}

describe("e-mail addresses", () => {
  test.each(VALID)("4.1: %s is accepted, at sign-up and at sign-in", async (email) => {
    const created = await server.client().createUser(newUser({ email }));
    expect({ status: created.status, error: created.error }).toEqual({ status: 201, error: undefined });
    expectError(await signInWithoutNonce(email), "INCORRECT_NONCE");
  });

  test.each(INVALID)("4.1, W8: an address with %s is refused, at sign-up and at sign-in", async (_why, email) => {
    expectError(await server.client().createUser(newUser({ email })), "INCORRECTLY_FORMED");
    expectError(await signInWithoutNonce(email), "INCORRECTLY_FORMED");
  });

  test.each(ONLY_OLD)(
    "W10: a new address with %s is refused; at sign-in its form is no reason",
    async (_why, email) => {
      expectError(await server.client().createUser(newUser({ email })), "INCORRECTLY_FORMED");
      expectError(await signInWithoutNonce(email), "INCORRECT_NONCE");
    },
  );

  test("W10: an account of the reference whose address is refused today keeps working", async () => {
    const email = '"ann"@example.com';
    const { user } = await server.signUp();
    await server.db`update users set email = ${email} where email = ${user.email}`;
    const { value } = await server.client().signIn(email, user.auth_string);
    expect((await server.client().verifyOtp(value?.value ?? "", server.otpFor(email))).status).toBe(200);
  });

  test("P9: the refusal of an address does not repeat it", async () => {
    const answer = await server.client().createUser(newUser({ email: "secret name@example.com" }));
    expect(answer.error?.err_message).not.toContain("secret");
  });
});
