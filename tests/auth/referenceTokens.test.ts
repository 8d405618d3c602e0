/** Field clients keep the tokens that the reference gave them: they stay valid until they expire (decision A2). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import type { TokenType } from "../../src/crypto/userTokens.ts";
import {
  countByStatus,
  createUnverified,
  granted,
  referenceToken,
  tampered,
  userIdOf,
  verdictOn,
} from "../support/accounts.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

let user_id: string;
let email: string;
/** The account's tokens have the address that it had when they were issued. */
const issue = (type: TokenType, lifetimeSecs?: number) =>
  referenceToken(server, type, { user_id, email: "former@example.com", ...(lifetimeSecs && { lifetimeSecs }) });
const refresh = (token: string) => server.client().refresh(token);
const verdict = (accessToken: string) => verdictOn(server.client(), accessToken);

beforeEach(async () => {
  const { user } = await createUnverified(server);
  email = user.email;
  user_id = await userIdOf(server, user);
});

describe("tokens of the reference", () => {
  test("A2: an access token opens what one of ours opens, until it expires", async () => {
    expect(await verdict(issue("Access"))).toBe("accepted");
    expect(await verdict(issue("Access", -1))).toBe("TOKEN_EXPIRED");
    expect(await verdict(issue("Refresh"))).toBe("WRONG_TOKEN_TYPE");
    expect(await verdict(tampered(issue("Access")))).toBe("INCORRECT_CREDENTIAL");
  });

  test("A2, A7: a sign-in token asks for a passcode, sent to the address of the account, and signs in with it", async () => {
    const token = issue("SignIn");
    expectEmptyOk(
      await server.client().call("POST", "/api/auth/otp/resend-signin-otp", { headers: { "x-signin-token": token } }),
    );
    const session = granted(await server.client().verifyOtp(token, server.otpFor(email)));
    expect(await verdict(session.tokens?.access_token ?? "")).toBe("accepted");
    expect((await refresh(session.tokens?.refresh_token ?? "")).status).toBe(200);
  });

  test("A3: a refresh token is adopted once: it opens a session and is used up", async () => {
    const token = issue("Refresh");
    const pair = granted(await refresh(token));
    expectError(await refresh(token), "TOKEN_EXPIRED");

    expect(await verdict(pair.access_token)).toBe("accepted");
    const next = granted(await refresh(pair.refresh_token));
    const [session, ...more] = [...(await server.db`select * from sessions where user_id = ${user_id}`)];
    expect(more).toEqual([]);
    expect(session?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    expectEmptyOk(await server.client().logout(next.access_token, next.refresh_token));
    expect(await verdict(next.access_token)).toBe("TOKEN_EXPIRED");
  });

  test("A3, C7: of several requests at once with one refresh token exactly one opens a session", async () => {
    const token = issue("Refresh");
    const answers = await Promise.all(Array.from({ length: 8 }, () => refresh(token)));
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 TOKEN_EXPIRED": 7 });
    expect(await server.db`select * from sessions where user_id = ${user_id}`).toHaveLength(1);
  });

  test("A3: a refresh token that the reference has listed as used stays used", async () => {
    const token = issue("Refresh");
    const mac = Buffer.from(token, "base64url").subarray(-32);
    await server.db`insert into blacklisted_tokens values (${mac}, now() + interval '1 hour')`;
    expectError(await refresh(token), "TOKEN_EXPIRED");
  });

  test("A3, S9: a refresh token of a user who is gone is TOKEN_EXPIRED", async () => {
    const token = issue("Refresh");
    await server.db`delete from users where id = ${user_id}`;
    expectError(await refresh(token), "TOKEN_EXPIRED");
    expectError(await refresh(token), "TOKEN_EXPIRED");
  });

  test("7.8: a logout uses the refresh token up; a second one is CONFLICT_WITH_EXISTING", async () => {
    const access = issue("Access");
    const token = issue("Refresh");
    expectEmptyOk(await server.client().logout(access, token));
    expectError(await refresh(token), "TOKEN_EXPIRED");
    expectError(await server.client().logout(access, token), "CONFLICT_WITH_EXISTING");
  });

  test("7.8: a logout with a token that was refreshed before is CONFLICT_WITH_EXISTING", async () => {
    const token = issue("Refresh");
    await refresh(token);
    expectError(await server.client().logout(issue("Access"), token), "CONFLICT_WITH_EXISTING");
  });

  test("7.8: a logout with the tokens of two users is USER_DISALLOWED and uses nothing up", async () => {
    const stranger = referenceToken(server, "Access", { user_id: randomUUID(), email });
    const token = issue("Refresh");
    expectError(await server.client().logout(stranger, token), "USER_DISALLOWED");
    expect((await refresh(token)).status).toBe(200);
  });
});
