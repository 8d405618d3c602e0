import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { NewUser } from "../../src/user/messages.ts";
import { countByStatus, granted } from "../support/accounts.ts";
import { comparableHeaders, newUser } from "../support/client.ts";
import { ENCODINGS, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const MINUTE_MS = 60_000;
/** One account signs in, and fails to, more often here than it may. */
const NO_ACCOUNT_LIMITS = {
  ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000",
  ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: "1000",
};

let server: TestServer;
let ann: NewUser;
beforeAll(async () => {
  server = await startTestServer(NO_ACCOUNT_LIMITS);
  ann = (await server.signUp(newUser({ auth_string_hash_iterations: 11 }))).user;
});
afterAll(() => server.stop());

const unknown = () => `nobody-${randomBytes(6).toString("hex")}@example.com`;
const fetchFor = async (email: string) => granted(await server.client().nonce(email));

/** Fetches a nonce a millisecond later than anything before, so that "the newest" has one meaning. */
async function nonceFor(email: string): Promise<number> {
  server.clock.aheadMs += 2;
  return (await fetchFor(email)).nonce;
}

function signIn(nonce: number, { email, auth_string }: Pick<NewUser, "email" | "auth_string"> = ann) {
  return server.client().signInWith({ email, auth_string, nonce });
}

describe("GET nonce-and-auth-string-params", () => {
  test("7.2: a known address gets what its client hashes with, in any letter case", async () => {
    for (const email of [ann.email, ann.email.toUpperCase()]) {
      expect(await fetchFor(email)).toMatchObject({
        auth_string_hash_salt: new Uint8Array(ann.auth_string_hash_salt),
        auth_string_hash_mem_cost_kib: 65_536,
        auth_string_hash_threads: 2,
        auth_string_hash_iterations: 11,
      });
    }
  });

  test("7.2: a + in an address is sent as %2B", async () => {
    const { user } = await server.signUp(newUser({ email: `a+b-${randomBytes(6).toString("hex")}@example.com` }));
    expect((await fetchFor(user.email)).auth_string_hash_salt).toEqual(Buffer.from(user.auth_string_hash_salt));
  });

  test.each([...ENCODINGS])(
    "A6: in %s a known and an unknown address are answered alike in shape",
    async (encoding) => {
      const { user } = await server.signUp();
      const [known, phony] = await Promise.all(
        [user.email, unknown()].map(async (email) => {
          const { status, headers, value } = await server.client(encoding).nonce(email);
          const { auth_string_hash_salt, nonce, ...parameters } = value ?? {};
          return {
            status,
            headers: comparableHeaders(headers),
            saltBytes: auth_string_hash_salt?.length,
            ...parameters,
          };
        }),
      );
      expect(known).toEqual(phony);
      expect(phony).toMatchObject({
        status: 200,
        saltBytes: 16,
        auth_string_hash_mem_cost_kib: 65_536,
        auth_string_hash_threads: 2,
        auth_string_hash_iterations: 10,
      });
    },
  );

  test("A6: every fetch makes a fresh random nonce, for known and unknown addresses", async () => {
    for (const email of [ann.email, unknown()]) {
      const nonces = [];
      for (let fetches = 0; fetches < 40; fetches++) nonces.push((await fetchFor(email)).nonce);
      expect(new Set(nonces).size).toBe(40);
      expect(nonces.some((nonce) => nonce < 0) && nonces.some((nonce) => nonce > 0)).toBe(true);
    }
  });

  test("A6, S2: the made-up salt of an address never changes; other addresses have others", async () => {
    const email = unknown();
    const first = (await fetchFor(email)).auth_string_hash_salt;
    server.clock.aheadMs += 3 * 24 * 60 * MINUTE_MS;

    expect((await fetchFor(email)).auth_string_hash_salt).toEqual(first);
    expect((await fetchFor(email.toUpperCase())).auth_string_hash_salt).toEqual(first);
    expect((await fetchFor(unknown())).auth_string_hash_salt).not.toEqual(first);
  });

  test("A6: another process on other keys makes up other salts: they are keyed", async () => {
    const keys = { ENTRIES_TOKEN_SIGNING_KEY_B64: Buffer.alloc(64, 8).toString("base64") };
    const other = await startTestServer(keys, server.database);
    const email = unknown();
    const elsewhere = granted(await other.client().nonce(email));
    expect(elsewhere.auth_string_hash_salt).not.toEqual((await fetchFor(email)).auth_string_hash_salt);
    await other.stop();
  });

  test("A6: the table of challenges does not hold the address", async () => {
    const email = unknown();
    await fetchFor(email);
    const [row] =
      await server.db`select string_agg(row(signin_challenges.*)::text, ' ') as whole from signin_challenges`;
    expect(row?.whole).not.toContain(email);
    expect(row?.whole).not.toContain(Buffer.from(email).toString("hex"));
  });

  test("7.2: any text may be asked about", async () => {
    for (const text of ["", "no address", "a\0b@example.com", "'; drop table users; --", "é😀", "x".repeat(5000)]) {
      expect((await fetchFor(text)).auth_string_hash_salt).toHaveLength(16);
    }
    const noText = "/api/auth/nonce-and-auth-string-params?email=%ff%00%zz%ED%A0%80";
    expect((await server.client().call("GET", noText)).status).toBe(200);
  });

  test.each(["", "?mail=a@b.c", "?email=a@b.c&email=a@b.c"])("1.3: the query %p is refused with 400", async (query) => {
    const answer = await server.client().call("GET", `/api/auth/nonce-and-auth-string-params${query}`);
    expectError(answer, "PREHANDLER", 400);
    expect(answer.error?.err_message).toContain("email");
  });

  test("A6: many fetches of one address at once all get a nonce of their own", async () => {
    const email = unknown();
    const nonces = await Promise.all(Array.from({ length: 60 }, async () => (await fetchFor(email)).nonce));
    expect(new Set(nonces).size).toBe(60);
  });
});

describe("the nonce at sign-in", () => {
  test("A6: it works once, whether the password was right or wrong", async () => {
    const right = await nonceFor(ann.email);
    expect((await signIn(right)).status).toBe(200);
    expectError(await signIn(right), "INCORRECT_NONCE");

    const spent = await nonceFor(ann.email);
    expectError(await signIn(spent, { ...ann, auth_string: randomBytes(32) }), "INCORRECT_CREDENTIAL");
    expectError(await signIn(spent), "INCORRECT_NONCE");
  });

  test("A6, C9: of several sign-ins at once with one nonce exactly one passes", async () => {
    const nonce = await nonceFor(ann.email);
    const answers = await Promise.all(Array.from({ length: 8 }, () => signIn(nonce)));
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_NONCE": 7 });
  });

  test("A6: it lives ten minutes", async () => {
    const inTime = await nonceFor(ann.email);
    server.clock.aheadMs += 10 * MINUTE_MS - 5_000;
    expect((await signIn(inTime)).status).toBe(200);

    const late = await nonceFor(ann.email);
    server.clock.aheadMs += 10 * MINUTE_MS;
    expectError(await signIn(late), "INCORRECT_NONCE");
  });

  test("A6: of one address the newest sixteen are kept", async () => {
    const nonces: number[] = [];
    for (let fetches = 0; fetches < 18; fetches++) nonces.push(await nonceFor(ann.email));
    const [first = 0, second = 0, third = 0] = nonces;

    expectError(await signIn(first), "INCORRECT_NONCE");
    expectError(await signIn(second), "INCORRECT_NONCE");
    expect((await signIn(third)).status).toBe(200);
    expect((await signIn(nonces.at(-1) ?? 0)).status).toBe(200);
  });

  test("A6: for an unknown address the same sixteen are kept, so that it cannot be told apart", async () => {
    const nobody = { email: unknown(), auth_string: randomBytes(32) };
    const nonces: number[] = [];
    for (let fetches = 0; fetches < 17; fetches++) nonces.push(await nonceFor(nobody.email));
    const [first = 0, second = 0] = nonces;

    expectError(await signIn(first, nobody), "INCORRECT_NONCE");
    expectError(await signIn(second, nobody), "INCORRECT_CREDENTIAL");
    expectError(await signIn(second, nobody), "INCORRECT_NONCE");
  });

  test("A6: what a stranger fetches and tries does not void the owner's nonce", async () => {
    const own = await nonceFor(ann.email);
    for (let fetches = 0; fetches < 5; fetches++) {
      const foreign = await nonceFor(ann.email);
      expectError(await signIn(foreign, { ...ann, auth_string: randomBytes(32) }), "INCORRECT_CREDENTIAL");
      expectError(await signIn(foreign + 1), "INCORRECT_NONCE");
    }
    expect((await signIn(own)).status).toBe(200);
  });

  test("A6: a nonce of one address is none for another", async () => {
    const { user: ben } = await server.signUp();
    expectError(await signIn(await nonceFor(ben.email)), "INCORRECT_NONCE");
  });

  test("A6: a wrong nonce costs no hash and leaves the password unchecked", async () => {
    const { passwords } = server.services;
    let checks = 0;
    server.services.passwords = {
      ...passwords,
      verify: (stored, secret) => {
        checks++;
        return passwords.verify(stored, secret);
      },
    };
    await signIn(0);
    await signIn(0, { ...ann, auth_string: randomBytes(32) });
    server.services.passwords = passwords;
    expect(checks).toBe(0);
  });
});
