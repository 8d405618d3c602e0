/** Who may make an account, and who keeps an address. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { countByStatus, createUnverified, userIdOf } from "../support/accounts.ts";
import { newUser } from "../support/client.ts";
import { expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const MINUTE_MS = 60_000;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const countOf = async (email: string) => {
  const [row] = await server.db`select count(*)::int as count from users where email = ${email}`;
  return row?.count;
};

describe("A15: ENTRIES_SIGNUP", () => {
  async function signUpUnder(policy: string, email: string) {
    const closed = await startTestServer({ ENTRIES_SIGNUP: policy }, server.database);
    try {
      return await closed.client().createUser(newUser({ email }));
    } finally {
      await closed.stop();
    }
  }

  test("closed: nobody is let in, and nothing is stored", async () => {
    const { email } = newUser();
    expectError(await signUpUnder("closed", email), "USER_DISALLOWED");
    expect(await countOf(email)).toBe(0);
  });

  test("a list of domains lets in their addresses, in any letter case, and no others", async () => {
    const policy = "example.org, Example.COM";
    const local = newUser().email.split("@")[0];
    expect((await signUpUnder(policy, `${local}@EXAMPLE.org`)).status).toBe(201);
    expect((await signUpUnder(policy, `${local}@example.com`)).status).toBe(201);
    for (const domain of ["sub.example.org", "example.org.evil.net", "evil-example.org", "example.net"]) {
      expectError(await signUpUnder(policy, `${local}@${domain}`), "USER_DISALLOWED");
    }
  });

  test("open is the default, and a malformed address is told before the policy", async () => {
    expect(server.services.config.signup).toBe("open");
    expectError(await signUpUnder("closed", "no address"), "INCORRECTLY_FORMED");
  });
});

describe("S12: an address that was never proven", () => {
  test("is kept while its passcode is valid, and then gives way to a new sign-up", async () => {
    const squatter = await createUnverified(server);
    const { email } = squatter.user;
    expectError(await server.client().createUser(newUser({ email })), "CONFLICT_WITH_EXISTING");

    server.clock.aheadMs += 11 * MINUTE_MS;
    const owner = await createUnverified(server, { email });
    expect(await countOf(email)).toBe(1);
    expectError(await server.client().verifyOtp(squatter.signinToken, owner.otp), "INCORRECT_CREDENTIAL");
    expect((await server.client().verifyOtp(owner.signinToken, owner.otp)).status).toBe(200);
  });

  test("never gives way once it was proven", async () => {
    const { user } = await server.signUp();
    const before = await userIdOf(server, user);
    server.clock.aheadMs += 24 * 60 * MINUTE_MS;
    expectError(await server.client().createUser(newUser({ email: user.email })), "CONFLICT_WITH_EXISTING");
    expect(await userIdOf(server, user)).toBe(before);
  });

  test("of several sign-ups at once that it gives way to, one wins", async () => {
    const { user } = await createUnverified(server);
    server.clock.aheadMs += 11 * MINUTE_MS;
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => server.client().createUser(newUser({ email: user.email }))),
    );
    expect(countByStatus(answers)).toEqual({ "201": 1, "400 CONFLICT_WITH_EXISTING": 5 });
    expect(await countOf(user.email)).toBe(1);
  });
});
