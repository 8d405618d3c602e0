import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createUnverified, verdictOn } from "../support/accounts.ts";
import type { Answer } from "../support/client.ts";
import { expectError } from "../support/containerCalls.ts";
import { createTestDatabase } from "../support/database.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../support/databaseProxy.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

setDefaultTimeout(60_000);

let proxy: DatabaseProxy;
let server: TestServer;
/** Another process, whose way to the database is never cut. */
let other: TestServer;
beforeAll(async () => {
  const database = await createTestDatabase();
  proxy = await startDatabaseProxy(database);
  server = await startTestServer({ ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: "1" }, proxy.database);
  other = await startTestServer({}, database);
});
afterAll(async () => {
  await server.stop();
  await other.stop();
  await proxy.stop();
});

function expectAway(answer: Answer<unknown>): void {
  expectError(answer, "PREHANDLER", 503);
  expect(answer.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
}

async function untilItWorks(attempt: () => Promise<Answer<unknown>>): Promise<Answer<unknown>> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const answer = await attempt();
    if (answer.status !== 503 || performance.now() > deadline) return answer;
    await Bun.sleep(20);
  }
}

describe("a database that goes away", () => {
  test("W11: every route that needs it is 503 with Retry-After, the heartbeat is 200, and all is well afterwards", async () => {
    const { user, signinToken, otp } = await createUnverified(server);
    const device = await server.signUp();
    const api = server.client();

    await proxy.goAway();
    expectAway(await api.nonce(user.email));
    expectAway(await api.signInWith({ email: user.email, auth_string: user.auth_string, nonce: 1 }));
    expectAway(await api.verifyOtp(signinToken, otp));
    expectAway(await api.refresh(device.refreshToken));
    expectAway(await api.logout(device.accessToken, device.refreshToken));
    expectAway(await api.createUser(user));
    expect((await api.call("GET", "/api/heartbeat")).status).toBe(200);
    expect(await verdictOn(api, device.accessToken)).toBe("accepted"); // needs no database
    server.services.log.flush();
    expect(server.logLines.join("")).not.toContain("request failed");

    await proxy.comeBack();
    expect((await untilItWorks(() => api.nonce(user.email))).status).toBe(200);
    expect((await api.verifyOtp(signinToken, otp)).status).toBe(200);
    expect((await api.refresh(device.refreshToken)).status).toBe(200);
  });

  test("A16: a sign-in that failed because of it is no wrong password", async () => {
    const { user } = await createUnverified(server);
    await proxy.goAway();
    // Without a client's address, ten failures of one account are too many.
    for (let rounds = 0; rounds < 12; rounds++) {
      expectAway(await server.client().signInWith({ email: user.email, auth_string: Buffer.from("wrong"), nonce: 1 }));
    }
    await proxy.comeBack();
    await untilItWorks(() => server.client().nonce(user.email));
    expect((await server.client().signIn(user.email, user.auth_string)).status).toBe(200);
  });

  test("P1: while it is away refusals stay quick, and once it is back it is used within two seconds", async () => {
    await proxy.goAway();
    for (let requests = 0; requests < 25; requests++) {
      const asked = performance.now();
      expectAway(await server.client().nonce("a@b.c"));
      expect(performance.now() - asked).toBeLessThan(2000);
    }
    await proxy.comeBack();
    const back = performance.now();
    expect((await untilItWorks(() => server.client().nonce("a@b.c"))).status).toBe(200);
    expect(performance.now() - back).toBeLessThan(2000);
  });

  test("A3: what was revoked meanwhile is refused as soon as it is back", async () => {
    const device = await server.signUp();
    expect(await verdictOn(server.client(), device.accessToken)).toBe("accepted");
    await proxy.goAway();
    expect((await other.client().logout(device.accessToken, device.refreshToken)).status).toBe(200);
    await proxy.comeBack();

    const deadline = performance.now() + 10_000;
    let verdict = "accepted";
    while (verdict === "accepted" && performance.now() < deadline) {
      await Bun.sleep(20);
      verdict = await verdictOn(server.client(), device.accessToken);
    }
    expect(verdict).toBe("TOKEN_EXPIRED");
  });
});
