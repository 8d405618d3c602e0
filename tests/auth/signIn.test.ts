import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { CredentialPair } from "../../src/auth/messages.ts";
import type { NewUser } from "../../src/user/messages.ts";
import { type Encoding, MEDIA_TYPES } from "../../src/wire/negotiation.ts";
import { claimsTextOf, createUnverified, granted, userIdOf, wrong } from "../support/accounts.ts";
import { comparableHeaders, newUser } from "../support/client.ts";
import { ENCODINGS, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/** Accounts.md 14: hashed by the reference with the key of the test configuration, 00 to 1f. */
const REFERENCE_HASH =
  "$argon2id$v=19$m=128,t=2,p=1$oKGio6SlpqeoqaqrrK2urw$TzHoikZ/cgVFcpcXUMvseFA9m+qMiMXVG7Vr+29kgmY";
const REFERENCE_AUTH_STRING = Buffer.from("auth-string");

let server: TestServer;
let ann: NewUser;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: "1000" });
  ann = (await server.signUp()).user;
});
afterAll(() => server.stop());

const unknown = () => `nobody-${randomBytes(6).toString("hex")}@example.com`;

/** The whole answer as it is on the wire. */
async function answerTo(encoding: Encoding, email: string, auth_string: Uint8Array, nonce: number) {
  const pair = { email, auth_string, nonce };
  const body = encoding === "json" ? CredentialPair.encodeJson(pair) : CredentialPair.encodeProtobuf(pair);
  const headers = { "content-type": MEDIA_TYPES[encoding] };
  const response = await server.app.handle(
    new Request("http://localhost/api/auth/sign-in", { method: "POST", headers, body }),
  );
  return { status: response.status, headers: comparableHeaders(response.headers), body: await response.text() };
}

async function freshNonce(email: string): Promise<number> {
  return granted(await server.client().nonce(email)).nonce;
}

/** Runs a step and counts what it makes the password hasher do. */
async function countingHashes(step: () => Promise<unknown>): Promise<{ verified: number; hashed: number }> {
  const { passwords } = server.services;
  const counts = { verified: 0, hashed: 0 };
  server.services.passwords = {
    ...passwords,
    verify(stored, secret) {
      counts.verified++;
      return passwords.verify(stored, secret);
    },
    hash(secret) {
      counts.hashed++;
      return passwords.hash(secret);
    },
  };
  try {
    await step();
  } finally {
    server.services.passwords = passwords;
  }
  return counts;
}

describe.each([...ENCODINGS])("a refused sign-in tells nothing about the account, in %s", (encoding) => {
  test("A6, S1: a wrong password and an unknown address are answered alike to the last byte", async () => {
    const { user: unverified } = await createUnverified(server);
    const nobody = unknown();
    const [known, pending, phony] = [
      await answerTo(encoding, ann.email, randomBytes(32), await freshNonce(ann.email)),
      await answerTo(encoding, unverified.email, randomBytes(32), await freshNonce(unverified.email)),
      await answerTo(encoding, nobody, randomBytes(32), await freshNonce(nobody)),
    ];
    expect(phony.status).toBe(401);
    expect(phony.body).toContain("password is wrong");
    expect(known).toEqual(phony);
    expect(pending).toEqual(phony);
  });

  test("A6, S1: a wrong nonce is answered alike, whatever the address and the password", async () => {
    const right = await answerTo(encoding, ann.email, ann.auth_string, 0);
    const wrongPassword = await answerTo(encoding, ann.email, randomBytes(32), 0);
    const phony = await answerTo(encoding, unknown(), randomBytes(32), 0);

    expect(phony.status).toBe(401);
    expect(phony.body).toContain("nonce");
    expect(right).toEqual(phony);
    expect(wrongPassword).toEqual(phony);
  });

  test("5.3: an auth string over the limit is a wrong one, for known and unknown addresses alike", async () => {
    const nobody = unknown();
    const known = await answerTo(encoding, ann.email, randomBytes(1025), await freshNonce(ann.email));
    const phony = await answerTo(encoding, nobody, randomBytes(1025), await freshNonce(nobody));

    expect(known.body).toContain("password is wrong");
    expect(known).toEqual(phony);
  });
});

describe("POST sign-in", () => {
  test("A6: an unknown address costs the same hash as a wrong password", async () => {
    const nobody = unknown();
    const known = await countingHashes(() => server.client().signIn(ann.email, randomBytes(32)));
    const phony = await countingHashes(() => server.client().signIn(nobody, randomBytes(32)));

    expect(known).toEqual({ verified: 1, hashed: 0 });
    expect(phony).toEqual(known);
  });

  test("7.3: after a wrong password the right one with a fresh nonce passes, in any letter case of the address", async () => {
    expectError(await server.client().signIn(ann.email, randomBytes(32)), "INCORRECT_CREDENTIAL");
    expect((await server.client().signIn(ann.email.toUpperCase(), ann.auth_string)).status).toBe(200);
  });

  test("7.3: the answer is a SignIn token of the configured lifetime", async () => {
    const { user } = await server.signUp();
    const token = granted(await server.client().signIn(user.email, user.auth_string)).value;
    const claims = JSON.parse(claimsTextOf(token));
    const lifetimeSecs = claims.exp - Math.floor(Date.now() / 1000);

    expect(claims.typ).toBe("SignIn");
    expect(lifetimeSecs > 30 * 60 - 5 && lifetimeSecs <= 30 * 60).toBe(true);
  });

  test("7.3: an unverified account can sign in and stays unverified until a right passcode comes", async () => {
    const { user } = await createUnverified(server);
    const deadline = async () => {
      const [row] = await server.db`select verification_deadline as deadline from users where email = ${user.email}`;
      return row?.deadline;
    };
    const first = await deadline();

    const token = granted(await server.client().signIn(user.email, user.auth_string)).value;
    expect(await deadline()).toBe(first);
    const otp = server.otpFor(user.email);
    expectError(await server.client().verifyOtp(token, wrong(otp)), "INCORRECT_CREDENTIAL");
    expect(await deadline()).toBe(first);
    expect((await server.client().verifyOtp(token, otp)).status).toBe(200);
    expect(await deadline()).toBeNull();
  });

  test("7.3: the password of another account is a wrong one", async () => {
    const { user: ben } = await server.signUp();
    expectError(await server.client().signIn(ben.email, ann.auth_string), "INCORRECT_CREDENTIAL");
  });
});

describe("password hashes of the reference", () => {
  async function accountOfTheReference(): Promise<NewUser & { id: string }> {
    const { user } = await server.signUp(newUser());
    const id = await userIdOf(server, user);
    await server.db`update users set auth_string_hash = ${REFERENCE_HASH} where id = ${id}`;
    return { ...user, auth_string: REFERENCE_AUTH_STRING, id };
  }

  const storedHash = async (id: string): Promise<string> => {
    const [row] = await server.db`select auth_string_hash as hash from users where id = ${id}`;
    return row?.hash;
  };

  test("A1: a keyed hash verifies, is rewritten in the new scheme, and the password goes on working", async () => {
    const { id, email, auth_string } = await accountOfTheReference();
    expect((await server.client().signIn(email, auth_string)).status).toBe(200);
    expect(await storedHash(id)).toStartWith("v2:$argon2id$v=19$m=19456,t=2,p=1$");

    const rewritten = await storedHash(id);
    expect((await server.client().signIn(email, auth_string)).status).toBe(200);
    expect(await storedHash(id)).toBe(rewritten);
  });

  test("A1: a wrong password leaves the old hash as it is", async () => {
    const { id, email } = await accountOfTheReference();
    expectError(await server.client().signIn(email, Buffer.from("auth-strinG")), "INCORRECT_CREDENTIAL");
    expect(await storedHash(id)).toBe(REFERENCE_HASH);
  });

  test("A1: a password that changes while the old hash is rewritten is not overwritten", async () => {
    const { id, email, auth_string } = await accountOfTheReference();
    const { passwords } = server.services;
    server.services.passwords = {
      ...passwords,
      async hash(secret) {
        await server.db`update users set auth_string_hash = 'v2:changed meanwhile' where id = ${id}`;
        return passwords.hash(secret);
      },
    };
    await server.client().signIn(email, auth_string);
    server.services.passwords = passwords;
    expect(await storedHash(id)).toBe("v2:changed meanwhile");
  });

  test("A1: two sign-ins at once with an old hash both pass", async () => {
    const { email, auth_string } = await accountOfTheReference();
    const answers = await Promise.all([1, 2].map(() => server.client().signIn(email, auth_string)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  });
});
