import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes, randomUUID } from "node:crypto";
import { SessionId, SessionLabel, SessionList } from "../../src/session/messages.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import {
  countByStatus,
  granted,
  referenceToken,
  refreshed,
  secondDevice,
  sessionsOf,
  userIdOf,
  verdictOn,
} from "../support/accounts.ts";
import { Client, Device } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError, speaking } from "../support/containerCalls.ts";
import { someoneWaits } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { watchStatements } from "../support/statements.ts";

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

const list = (device: Device) =>
  device.client.call("GET", "/api/auth/session", { response: SessionList, headers: device.headers() });
const label = (device: Device, value: Uint8Array) =>
  device.client.call("PUT", "/api/auth/session/label", {
    request: [SessionLabel, { value }],
    headers: device.headers(),
  });
const end = (device: Device, value: string) =>
  device.client.call("DELETE", "/api/auth/session", { request: [SessionId, { value }], headers: device.headers() });
const endOthers = (device: Device) =>
  device.client.call("DELETE", "/api/auth/session/all-others", { headers: device.headers() });

const listed = async (device: Device) => granted(await list(device)).sessions;
const verdict = ({ accessToken }: Device) => verdictOn(server.client(), accessToken);

async function ownIdOf(device: Device): Promise<string> {
  return (await listed(device)).find(({ is_current }) => is_current)?.id ?? "";
}

/** A device that holds an access token of the reference, which names no session. */
async function fieldDevice(device: Device & { user: { email: string } }, encoding?: Encoding): Promise<Device> {
  const user_id = await userIdOf(server, device.user as Parameters<typeof userIdOf>[1]);
  const issue = (type: "Access" | "Refresh") => referenceToken(server, type, { user_id, email: "former@example.com" });
  return new Device(server.client(encoding), issue("Access"), issue("Refresh"));
}

/** Both tokens of a session are refused, in both processes. */
async function expectEnded({ accessToken, refreshToken }: Device): Promise<void> {
  expect(await verdictOn(server.client(), accessToken)).toBe("TOKEN_EXPIRED");
  await eventually(async () => (await verdictOn(second.client(), accessToken)) === "TOKEN_EXPIRED");
  expectError(await server.client().refresh(refreshToken), "TOKEN_EXPIRED");
}

async function expectAlive(device: Device): Promise<void> {
  expect(await verdictOn(server.client(), device.accessToken)).toBe("accepted");
  expect(await verdictOn(second.client(), device.accessToken)).toBe("accepted");
  await refreshed(device);
}

/** The other process hears of it by a notification, which takes a moment. */
async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error("the other process did not hear of it within 5 s");
    await Bun.sleep(5);
  }
}

describe.each([...ENCODINGS])("GET auth/session, in %s", (encoding) => {
  test("A4: lists each session with its id and expiry, and tells which one is the caller's", async () => {
    const signedUp = await server.signUp();
    const other = await secondDevice(server, signedUp);
    const [own, its] = [
      await listed(speaking(encoding, signedUp, server)),
      await listed(speaking(encoding, other, server)),
    ];
    const rows = await sessionsOf(server, signedUp.user);

    expect(own).toHaveLength(2);
    expect(own.map(({ id }) => id).sort()).toEqual(rows.map(({ id }) => id).sort());
    for (const session of own) {
      expect(session.expiration).toBe(rows.find(({ id }) => id === session.id)?.expiration);
      expect(session.label_encrypted).toBeUndefined();
    }
    const current = (sessions: typeof own) => sessions.filter(({ is_current }) => is_current).map(({ id }) => id);
    expect(current(own)).toHaveLength(1);
    expect(current(its)).toHaveLength(1);
    expect(current(own)).not.toEqual(current(its));
  });

  test("A4: shows another user's sessions to nobody", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    expect(await listed(speaking(encoding, ann, server))).toHaveLength(1);
    expect(await ownIdOf(ann)).not.toBe(await ownIdOf(ben));
  });

  test("A4: a token of the reference has no session: what is listed is not current", async () => {
    const device = await server.signUp();
    const field = await fieldDevice(device, encoding);
    expect((await listed(field)).map(({ is_current }) => is_current)).toEqual([false]);

    await server.db`delete from sessions where user_id = ${await userIdOf(server, device.user)}`;
    expect(await listed(field)).toEqual([]);
  });
});

describe("GET auth/session", () => {
  test("A4: a session that has expired is not listed", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    server.clock.aheadMs += 29 * DAY_MS;
    const next = await refreshed(device);
    server.clock.aheadMs += DAY_MS + SECOND_MS;
    const latest = await refreshed(next);

    expect(await sessionsOf(server, device.user)).toHaveLength(2);
    const sessions = await listed(latest);
    expect(sessions.map(({ is_current }) => is_current)).toEqual([true]);
    expect(await verdict(other)).toBe("TOKEN_EXPIRED");
  });

  test("A4: a session keeps its id and label when its tokens are refreshed", async () => {
    const device = await server.signUp();
    const value = randomBytes(30);
    expectEmptyOk(await label(device, value));
    const before = await ownIdOf(device);
    const next = await refreshed(device);
    const [session] = await listed(next);
    expect(session).toMatchObject({ id: before, is_current: true });
    expect(Buffer.from(session?.label_encrypted ?? "").equals(value)).toBe(true);
  });
});

describe.each([...ENCODINGS])("PUT auth/session/label, in %s", (encoding) => {
  test("A4: labels the caller's own session and no other; again it replaces", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    for (const value of [randomBytes(10), randomBytes(1024), Buffer.alloc(0)]) {
      expectEmptyOk(await label(speaking(encoding, device, server), value));
      const labels = (await listed(speaking(encoding, other, server))).map((session) => [
        session.is_current,
        session.label_encrypted && Buffer.from(session.label_encrypted).toString("hex"),
      ]);
      expect(labels.sort()).toEqual([
        [false, value.toString("hex")],
        [true, undefined],
      ]);
    }
  });

  test("A4: over 1,024 bytes it is 413 and the former label stays", async () => {
    const device = speaking(encoding, await server.signUp(), server);
    const value = randomBytes(1024);
    expectEmptyOk(await label(device, value));
    expectError(await label(device, randomBytes(1025)), "INPUT_TOO_LARGE");
    const [session] = await listed(device);
    expect(Buffer.from(session?.label_encrypted ?? "").equals(value)).toBe(true);
  });

  test("A4: a token of the reference has no session to label: INVALID_STATE, and a refresh makes one", async () => {
    const device = await server.signUp();
    const field = await fieldDevice(device, encoding);
    const refusal = await label(field, randomBytes(10));
    expectError(refusal, "INVALID_STATE");
    expect(refusal.error?.err_message).toContain("refresh");

    const next = await refreshed(field);
    expectEmptyOk(await label(next, randomBytes(10)));
    expect(await listed(next)).toHaveLength(2);
  });
});

describe.each([...ENCODINGS])("DELETE auth/session, in %s", (encoding) => {
  test("A4, A3: ends one session: its access and refresh token are refused at once, in every process", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    const third = await secondDevice(server, device);
    expect(await verdictOn(second.client(), other.accessToken)).toBe("accepted"); // now in that process's cache
    expectEmptyOk(await end(speaking(encoding, device, server), await ownIdOf(other)));

    await expectEnded(other);
    expect(await listed(device)).toHaveLength(2);
    await expectAlive(device);
    await expectAlive(third);
  });

  test("A4: the caller's own session can be ended as well", async () => {
    const device = await server.signUp();
    expectEmptyOk(await end(speaking(encoding, device, server), await ownIdOf(device)));
    await expectEnded(device);
  });

  test("A4: 200 for an unknown id and for another user's session, which goes on", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    const annsId = await ownIdOf(ann);
    const bens = speaking(encoding, ben, server);
    for (const id of [randomUUID(), annsId, await userIdOf(server, ann.user)]) expectEmptyOk(await end(bens, id));

    const [revoked] = await server.db`select count(*)::int as count from revoked_sessions where session_id = ${annsId}`;
    expect(revoked?.count).toBe(0);
    await expectAlive(ann);
    await expectAlive(ben);
  });

  test("A4: a token of the reference can end a session", async () => {
    const device = await server.signUp();
    const field = await fieldDevice(device, encoding);
    expectEmptyOk(await end(field, await ownIdOf(device)));
    await expectEnded(device);
    expect(await verdict(field)).toBe("accepted");
  });
});

describe("DELETE auth/session", () => {
  test("A4: of several requests at once for one session all are 200", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    const id = await ownIdOf(other);
    const theirs = new Device(second.client(), device.accessToken, device.refreshToken);
    const answers = await Promise.all([0, 1, 2, 3].map((index) => end(index % 2 ? device : theirs, id)));
    expect(countByStatus(answers)).toEqual({ "200": 4 });
    await expectEnded(other);
  });
});

describe("DELETE auth/session/all-others", () => {
  test("A4, A3: ends every session but the caller's, in every process, and nobody else's", async () => {
    const ann = await server.signUp();
    const others = [await secondDevice(server, ann), await secondDevice(server, ann)];
    const ben = await server.signUp();
    for (const other of others) expect(await verdictOn(second.client(), other.accessToken)).toBe("accepted");
    expectEmptyOk(await endOthers(ann));

    for (const other of others) await expectEnded(other);
    expect((await listed(ann)).map(({ is_current }) => is_current)).toEqual([true]);
    await expectAlive(ann);
    await expectAlive(ben);
  });

  test("A4, A2: it also refuses the user's tokens of the reference, access and refresh, in every process", async () => {
    const device = await server.signUp();
    const field = await fieldDevice(device);
    expect(await verdict(field)).toBe("accepted");
    expectEmptyOk(await endOthers(device));
    await expectEnded(field);
    await expectAlive(device);
  });

  test("A4: with no other session it is 200", async () => {
    const device = await server.signUp();
    expectEmptyOk(await endOthers(device));
    expectEmptyOk(await endOthers(device));
    await expectAlive(device);
  });

  test.each([...ENCODINGS])(
    "A4: a token of the reference has no session to keep: INVALID_STATE, in %s, and nothing ends",
    async (encoding) => {
      const device = await server.signUp();
      const refusal = await endOthers(await fieldDevice(device, encoding));
      expectError(refusal, "INVALID_STATE");
      expect(refusal.error?.err_message).toContain("refresh");
      await expectAlive(device);
    },
  );

  test("A3: a refresh that runs at the same time leaves no session behind", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    const [ended, rotated] = await Promise.all([endOthers(device), second.client().refresh(other.refreshToken)]);
    expectEmptyOk(ended);
    await expectEnded(other);
    if (rotated.value)
      await expectEnded(new Device(other.client, rotated.value.access_token, rotated.value.refresh_token));
    expect(await listed(device)).toHaveLength(1);
  });

  test("A3: a refresh token of the reference that is adopted at the same time leaves no session behind", async () => {
    const device = await server.signUp();
    const user_id = await userIdOf(server, device.user);
    const field = await fieldDevice(device);
    let adopted: ReturnType<Client["refresh"]> | undefined;
    await server.db.begin(async (transaction) => {
      await transaction`select revoke_sessions(${user_id}, ${await ownIdOf(device)}, now()::timestamp)`;
      adopted = field.client.refresh(field.refreshToken);
      await someoneWaits(server.db, 1);
    });
    expect((await adopted)?.error?.err_type).toBe("TOKEN_EXPIRED");
    expect(await sessionsOf(server, device.user)).toHaveLength(1);
  });

  test("A4: sent at once by two devices, none is a server error", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    const answers = await Promise.all([device, other, device, other].map(endOthers));
    expect(Object.keys(countByStatus(answers)).filter((key) => key !== "200" && key !== "401 TOKEN_EXPIRED")).toEqual(
      [],
    );
    expect((await sessionsOf(server, device.user)).length).toBeLessThan(2);
  });
});

describe("an account that is gone", () => {
  test("A4: its access token is TOKEN_EXPIRED on every session route", async () => {
    const device = await server.signUp();
    const id = await ownIdOf(device);
    await server.db`delete from users where email = ${device.user.email}`;
    expectError(await list(device), "TOKEN_EXPIRED");
    expectError(await label(device, randomBytes(3)), "TOKEN_EXPIRED");
    expectError(await end(device, id), "TOKEN_EXPIRED");
    expectError(await endOthers(device), "TOKEN_EXPIRED");
  });
});

describe("speed", () => {
  test("A4: each session route is one statement", async () => {
    const watched = watchStatements(server.database);
    const counted = await startTestServer({}, watched.database);
    try {
      const device = await counted.signUp();
      const other = await secondDevice(counted, device);
      watched.take();
      const steps = [list, (d: Device) => label(d, randomBytes(3)), (d: Device) => end(d, randomUUID()), endOthers];
      for (const step of steps) {
        await step(device);
        expect(watched.take()).toHaveLength(1);
      }
      expect(await verdictOn(counted.client(), other.accessToken)).toBe("TOKEN_EXPIRED");
    } finally {
      await counted.stop();
    }
  });
});

describe("a browser", () => {
  test("A4, 3.3: ends sessions with the token in its cookie only together with the CSRF token", async () => {
    const device = await server.signUp();
    const other = await secondDevice(server, device);
    const call = (headers: Record<string, string>) =>
      new Client((request) => server.app.handle(request)).call("DELETE", "/api/auth/session/all-others", { headers });
    const cookie = `x-access-token=${device.accessToken}; x-csrf-token=abc`;
    expectError(await call({ cookie }), "USER_DISALLOWED");
    expect(await verdict(other)).toBe("accepted");
    expectEmptyOk(await call({ cookie, "x-csrf-token": "abc" }));
    await expectEnded(other);
  });
});
