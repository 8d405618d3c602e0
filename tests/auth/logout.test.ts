import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { claimsTextOf, countByStatus, refreshed, secondDevice, sessionsOf, verdictOn } from "../support/accounts.ts";
import type { Device } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const SECOND_MS = 1000;
/** How soon every process must know of a session that ended. */
const NEWS_MS = 500;

let server: TestServer;
let second: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  second = await startTestServer({}, server.database);
});
afterAll(async () => {
  await second.stop();
  await server.stop();
});

const refresh = (token: string) => server.client().refresh(token);
const logout = (device: Device) => server.client().logout(device.accessToken, device.refreshToken);
const verdict = (accessToken: string, at = server) => verdictOn(at.client(), accessToken);

/** Looks until the second process says what is expected, but no longer than it may take. */
async function newsInSecond(accessToken: string, expected: string): Promise<string> {
  const deadline = performance.now() + NEWS_MS;
  let seen = await verdict(accessToken, second);
  while (seen !== expected && performance.now() < deadline) {
    await Bun.sleep(5);
    seen = await verdict(accessToken, second);
  }
  return seen;
}

describe("POST logout", () => {
  test("7.8, A3: it ends the session: refresh and access token are TOKEN_EXPIRED at once", async () => {
    const device = await server.signUp();
    expect(await verdict(device.accessToken)).toBe("accepted");
    expectEmptyOk(await logout(device));

    expectError(await refresh(device.refreshToken), "TOKEN_EXPIRED");
    expect(await verdict(device.accessToken)).toBe("TOKEN_EXPIRED");
    expect(await sessionsOf(server, device.user)).toEqual([]);
  });

  test("7.8: a second time it is CONFLICT_WITH_EXISTING; with the dead session's access token TOKEN_EXPIRED (A3)", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    await logout(device);

    expectError(await logout(device), "TOKEN_EXPIRED");
    const again = await server.client().logout(other.accessToken, device.refreshToken);
    expectError(again, "CONFLICT_WITH_EXISTING");
    expect(await verdict(other.accessToken)).toBe("accepted");
  });

  test("7.8: of several at once exactly one succeeds", async () => {
    const device = await server.signUp();
    const answers = await Promise.all(Array.from({ length: 6 }, () => logout(device)));
    const counts = countByStatus(answers);
    expect(counts["200"]).toBe(1);
    expect((counts["400 CONFLICT_WITH_EXISTING"] ?? 0) + (counts["401 TOKEN_EXPIRED"] ?? 0)).toBe(5);
  });

  test("7.8: a refresh token that was exchanged before is CONFLICT_WITH_EXISTING, and the session ends all the same", async () => {
    const device = await server.signUp();
    const next = await refreshed(device);
    const answer = await server.client().logout(next.accessToken, device.refreshToken);

    expectError(answer, "CONFLICT_WITH_EXISTING");
    expectError(await refresh(next.refreshToken), "TOKEN_EXPIRED");
    expect(await verdict(next.accessToken)).toBe("TOKEN_EXPIRED");
  });

  test("7.8: the refresh token of another user is USER_DISALLOWED and ends nothing", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    expectError(await server.client().logout(ann.accessToken, ben.refreshToken), "USER_DISALLOWED");
    expect(await verdict(ann.accessToken)).toBe("accepted");
    expect(await verdict(ben.accessToken)).toBe("accepted");
    expect((await refresh(ben.refreshToken)).status).toBe(200);
  });

  test("1.3: it needs both tokens, the access token first", async () => {
    const device = await server.signUp();
    const call = (headers: Record<string, string>) => server.client().call("POST", "/api/auth/logout", { headers });
    const access = { "x-access-token": device.accessToken };
    const messages = [
      await call({ "x-refresh-token": device.refreshToken }),
      await call(access),
      await call({ "x-access-token": "garbage", "x-refresh-token": "" }),
      await call({ ...access, "x-refresh-token": "garbage" }),
      await call({ ...access, "x-refresh-token": device.accessToken }),
    ].map(({ error }) => error?.err_type);
    expect(messages).toEqual([
      "TOKEN_MISSING",
      "TOKEN_MISSING",
      "INCORRECT_CREDENTIAL",
      "INCORRECT_CREDENTIAL",
      "WRONG_TOKEN_TYPE",
    ]);
    expectEmptyOk(await logout(device));
  });

  test("A3: racing refreshes and logouts leave a dead session and no server error", async () => {
    const device = await server.signUp();
    const logouts: Promise<{ status: number }>[] = [];
    const refreshes: ReturnType<typeof refresh>[] = [];
    for (let rounds = 0; rounds < 4; rounds++) {
      refreshes.push(refresh(device.refreshToken));
      logouts.push(logout(device));
    }
    const answers = await Promise.all(refreshes);
    const statuses = [...answers, ...(await Promise.all(logouts))].map(({ status }) => status);
    expect(statuses.filter((status) => status >= 500)).toEqual([]);
    for (const { value } of answers.filter(({ status }) => status === 200)) {
      expect(await verdict(value?.access_token ?? "")).toBe("TOKEN_EXPIRED");
      expectError(await refresh(value?.refresh_token ?? ""), "TOKEN_EXPIRED");
    }
    expect(await sessionsOf(server, device.user)).toEqual([]);
  });
});

describe("a session that ended, in other processes", () => {
  test("A3: by a logout: a second process refuses its access tokens within 500 ms", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    expect(await verdict(device.accessToken, second)).toBe("accepted"); // and so is remembered there
    await logout(device);

    expect(await newsInSecond(device.accessToken, "TOKEN_EXPIRED")).toBe("TOKEN_EXPIRED");
    expect(await verdict(other.accessToken, second)).toBe("accepted");
  });

  test("A3: by a reused refresh token: likewise", async () => {
    const device = await server.signUp();
    const next = await refreshed(device);
    second.clock.aheadMs = server.clock.aheadMs;
    expect(await verdict(next.accessToken, second)).toBe("accepted");
    server.clock.aheadMs += 31 * SECOND_MS;
    await refresh(device.refreshToken);

    expect(await newsInSecond(next.accessToken, "TOKEN_EXPIRED")).toBe("TOKEN_EXPIRED");
  });

  test("A3: a process that starts later refuses them as well", async () => {
    const device = await server.signUp();
    await logout(device);
    const third = await startTestServer({}, server.database);
    expect(await verdict(device.accessToken, third)).toBe("TOKEN_EXPIRED");
    await third.stop();
  });

  test("A3: the list is kept until the last access token of the session has expired", async () => {
    const device = await server.signUp();
    const [session] = await sessionsOf(server, device.user);
    const { exp } = JSON.parse(claimsTextOf(device.accessToken));
    await logout(device);
    const [row] = await server.db`select expiration from revoked_sessions where session_id = ${session?.id}`;
    expect(row?.expiration >= BigInt(exp) * 1_000_000n).toBe(true);
  });
});
