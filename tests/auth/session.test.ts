import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  claimsTextOf,
  countByStatus,
  granted,
  refreshed,
  secondDevice,
  sessionsOf,
  signInAgain,
  tampered,
  userIdOf,
  verdictOn,
} from "../support/accounts.ts";
import { ENCODINGS, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const SECOND_MS = 1000;
const DAY_MS = 86_400 * SECOND_MS;

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
const verdict = (accessToken: string) => verdictOn(server.client(), accessToken);

describe("sessions", () => {
  test("A3, W14: a sign-in opens one session, whose id is a version 4 UUID and whose token is kept as a hash", async () => {
    const device = await server.signUp();
    const [session, ...more] = await sessionsOf(server, device.user);
    const mac = Buffer.from(device.refreshToken, "base64url").subarray(-32);

    expect(more).toEqual([]);
    expect(session?.id).toMatch(UUID_V4);
    expect(session?.refresh_token_hash).toEqual(new Bun.CryptoHasher("sha256").update(mac).digest());
  });

  test("A2: tokens say their expiry and type; neither address nor user id nor session id can be read", async () => {
    const device = await server.signUp();
    const { signinToken } = await signInAgain(server, device.user);
    const [session] = await sessionsOf(server, device.user);
    const nowSecs = Math.floor(server.services.now() / 1000);
    const kinds = [
      ["Access", device.accessToken, 15 * 60],
      ["Refresh", device.refreshToken, 30 * 86_400],
      ["SignIn", signinToken, 30 * 60],
    ] as const;
    for (const [type, token, lifetimeSecs] of kinds) {
      const text = claimsTextOf(token);
      const { exp, ...claims } = JSON.parse(text);
      expect(claims.typ).toBe(type);
      expect(Object.keys(claims).sort()).toEqual(["enc", "jti", "typ"]);
      expect(Math.abs(exp - nowSecs - lifetimeSecs)).toBeLessThan(5);
      for (const id of [await userIdOf(server, device.user), session?.id]) {
        expect(text).not.toContain(id);
        expect(text).not.toContain(id.replaceAll("-", ""));
        const raw = Buffer.from(id.replaceAll("-", ""), "hex");
        expect(Buffer.from(claims.enc, "base64url").includes(raw)).toBe(false);
      }
      expect(text).not.toContain("ann");
      expect(text).not.toContain("example.com");
    }
  });

  test("C8: tokens of one second differ, and so do sessions", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    const next = await refreshed(other);
    const texts = [device, other, next].flatMap(({ accessToken, refreshToken }) => [accessToken, refreshToken]);
    expect(new Set(texts).size).toBe(6);
    expect(await sessionsOf(server, device.user)).toHaveLength(2);
  });
});

describe("POST token/refresh", () => {
  test.each([...ENCODINGS])(
    "7.7: in %s it gives a new pair of the same session, for the full lifetimes",
    async (encoding) => {
      const device = await server.signUp();
      const [before] = await sessionsOf(server, device.user);
      server.clock.aheadMs += 10 * SECOND_MS;
      const answer = await server.client(encoding).refresh(device.refreshToken);
      const pair = granted(answer);

      expect(Math.abs(Number(pair.server_time / 1000n) - server.services.now())).toBeLessThan(5 * SECOND_MS);
      expect(await verdict(pair.access_token)).toBe("accepted");
      expect((await refresh(pair.refresh_token)).status).toBe(200);
      const [after, ...more] = await sessionsOf(server, device.user);
      expect(more).toEqual([]);
      expect(after?.id).toBe(before?.id);
      expect(after?.expiration - before?.expiration >= 10_000_000n).toBe(true);
    },
  );

  test("A3: a token works once; again within 30 s it is TOKEN_EXPIRED and the session lives on", async () => {
    const device = await server.signUp();
    const next = await refreshed(device);
    server.clock.aheadMs += 28 * SECOND_MS;

    expectError(await refresh(device.refreshToken), "TOKEN_EXPIRED");
    expect(await verdict(next.accessToken)).toBe("accepted");
    expect((await refresh(next.refreshToken)).status).toBe(200);
  });

  test("A3: again after 30 s it ends the session: all its tokens are TOKEN_EXPIRED at once", async () => {
    const device = await server.signUp();
    const next = await refreshed(device);
    expect(await verdict(next.accessToken)).toBe("accepted");
    server.clock.aheadMs += 31 * SECOND_MS;

    expectError(await refresh(device.refreshToken), "TOKEN_EXPIRED");
    expect(await verdict(next.accessToken)).toBe("TOKEN_EXPIRED");
    expect(await verdict(device.accessToken)).toBe("TOKEN_EXPIRED");
    expectError(await refresh(next.refreshToken), "TOKEN_EXPIRED");
    expect(await sessionsOf(server, device.user)).toEqual([]);
  });

  test("A3: a token that was replaced long ago ends the session, however fresh the last rotation is", async () => {
    const device = await server.signUp();
    const next = await refreshed(device);
    server.clock.aheadMs += 100 * SECOND_MS;
    const thief = await refreshed(next);

    expectError(await refresh(device.refreshToken), "TOKEN_EXPIRED");
    expectError(await refresh(thief.refreshToken), "TOKEN_EXPIRED");
    expect(await verdict(thief.accessToken)).toBe("TOKEN_EXPIRED");
  });

  test("A3: an older token within 30 s of its own rotation is a late retry, and the session lives on", async () => {
    const device = await server.signUp();
    const next = await refreshed(await refreshed(device));

    expectError(await refresh(device.refreshToken), "TOKEN_EXPIRED");
    expect((await refresh(next.refreshToken)).status).toBe(200);
  });

  test("A3: a stolen token ends only its own session", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    await refreshed(device);
    server.clock.aheadMs += 31 * SECOND_MS;
    expectError(await refresh(device.refreshToken), "TOKEN_EXPIRED");

    expect(await verdict(other.accessToken)).toBe("accepted");
    expect((await refresh(other.refreshToken)).status).toBe(200);
  });

  test("A3, C7: of several requests at once with one token exactly one succeeds, and its tokens are good", async () => {
    second.clock.aheadMs = server.clock.aheadMs; // a process half a minute behind would take the others for thieves
    const device = await server.signUp();
    const apps = [server, second];
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => apps[index % 2]?.client().refresh(device.refreshToken) ?? refresh("")),
    );
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 TOKEN_EXPIRED": 7 });

    const winner = answers.find(({ status }) => status === 200)?.value;
    expect(await verdict(winner?.access_token ?? "")).toBe("accepted");
    expect((await refresh(winner?.refresh_token ?? "")).status).toBe(200);
  });

  test("S9: of a deleted user it is TOKEN_EXPIRED", async () => {
    const device = await server.signUp();
    await server.db`delete from users where email = ${device.user.email}`;
    expectError(await refresh(device.refreshToken), "TOKEN_EXPIRED");
  });

  test("2.3: missing, damaged, expired and foreign tokens", async () => {
    const device = await server.signUp();
    expectError(await server.client().call("POST", "/api/auth/token/refresh"), "TOKEN_MISSING");
    expectError(await refresh(""), "INCORRECT_CREDENTIAL");
    expectError(await refresh("garbage"), "INCORRECT_CREDENTIAL");
    expectError(await refresh(tampered(device.refreshToken)), "INCORRECT_CREDENTIAL");
    expectError(await refresh(device.accessToken), "WRONG_TOKEN_TYPE");
    expectError(
      await server.client().call("POST", "/api/auth/token/refresh", {
        headers: { "x-access-token": device.accessToken },
      }),
      "TOKEN_MISSING",
    );
    expect((await refresh(device.refreshToken)).status).toBe(200);
  });

  test("2.2: a refresh token lives 30 days, an access token 15 minutes", async () => {
    const device = await server.signUp();
    server.clock.aheadMs += 14 * 60 * SECOND_MS;
    expect(await verdict(device.accessToken)).toBe("accepted");
    server.clock.aheadMs += 60 * SECOND_MS;
    expect(await verdict(device.accessToken)).toBe("TOKEN_EXPIRED");

    server.clock.aheadMs += 29 * DAY_MS;
    const next = await refreshed(device);
    server.clock.aheadMs += 30 * DAY_MS;
    expectError(await refresh(next.refreshToken), "TOKEN_EXPIRED");
  });
});
