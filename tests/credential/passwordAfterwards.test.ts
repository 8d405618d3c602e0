import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { overloaded } from "../../src/errors.ts";
import {
  referenceToken,
  refreshed,
  secondDevice,
  signInAgain,
  userIdOf,
  verdictOn,
  wrong,
} from "../support/accounts.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import {
  noticesTo,
  passwordUpdate,
  putPassword,
  readyToChange,
  shapeOf,
  startWatchedServer,
  withService,
} from "./changes.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const ready = () => readyToChange(server);

describe("A5, S8: after a password change", () => {
  test("A5: sessions are revoked at once, here and in another process, but for that of the access token sent along", async () => {
    const { device, user, otp } = await ready();
    const other = await secondDevice(server, device);
    const process2 = await startTestServer({}, server.database);
    const there = (path: "access" | "refresh") =>
      path === "access"
        ? verdictOn(process2.client(), other.accessToken)
        : process2
            .client()
            .refresh(other.refreshToken)
            .then(({ error }) => error?.err_type);
    expect(await there("access")).toBe("accepted");

    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp), device.headers()));
    expect(await verdictOn(server.client(), other.accessToken)).toBe("TOKEN_EXPIRED");
    expectError(await server.client().refresh(other.refreshToken), "TOKEN_EXPIRED");
    expect(await there("refresh")).toBe("TOKEN_EXPIRED");
    const deadline = performance.now() + 5000;
    while ((await there("access")) === "accepted" && performance.now() < deadline) await Bun.sleep(5);
    expect(await there("access")).toBe("TOKEN_EXPIRED");

    expect(await verdictOn(server.client(), device.accessToken)).toBe("accepted");
    const next = await refreshed(device);
    expect(await verdictOn(process2.client(), next.accessToken)).toBe("accepted");
    await process2.stop();
  });

  test.each([
    ["no access token", undefined],
    ["a token that is none", "garbage"],
  ])("A5: with %s every session is revoked", async (_what, token) => {
    const { device, user, otp } = await ready();
    const headers: Record<string, string> = token === undefined ? {} : { "x-access-token": token };
    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp), headers));
    expect(await verdictOn(server.client(), device.accessToken)).toBe("TOKEN_EXPIRED");
    expectError(await server.client().refresh(device.refreshToken), "TOKEN_EXPIRED");
  });

  test("A5: somebody else's access token keeps none of the sessions, and stays good itself", async () => {
    const { device, user, otp } = await ready();
    const other = await server.signUp();
    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp), other.headers()));
    expect(await verdictOn(server.client(), device.accessToken)).toBe("TOKEN_EXPIRED");
    expect(await verdictOn(server.client(), other.accessToken)).toBe("accepted");
  });

  test("A5: tokens that the reference issued are refused, also when one of them was sent along", async () => {
    const { user, otp } = await ready();
    const names = { user_id: await userIdOf(server, user), email: user.email };
    const access = referenceToken(server, "Access", names);
    const refresh = referenceToken(server, "Refresh", names);
    const signIn = referenceToken(server, "SignIn", names);
    expect(await verdictOn(server.client(), access)).toBe("accepted");

    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp), { "x-access-token": access }));
    expect(await verdictOn(server.client(), access)).toBe("TOKEN_EXPIRED");
    expectError(await server.client().refresh(refresh), "TOKEN_EXPIRED");
    expectError(await server.client().verifyOtp(signIn, otp), "INCORRECT_CREDENTIAL");
  });

  test("A5: a sign-in that was under way with the old password is void, its passcode and its token", async () => {
    const { user, otp } = await ready();
    const { signinToken, otp: signInOtp } = await signInAgain(server, user);
    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp)));
    expectError(await server.client().verifyOtp(signinToken, signInOtp), "INCORRECT_CREDENTIAL");
    const resent = await server
      .client()
      .call("POST", "/api/auth/otp/resend-signin-otp", { headers: { "x-signin-token": signinToken } });
    expectError(resent, "TOKEN_EXPIRED");
    const [row] = await server.db`
      select count(*)::int as count from user_otps
      where user_id = ${await userIdOf(server, user)} and otp_hmac is not null`;
    expect(row?.count).toBe(0);
  });

  test("A5: a notice goes to the owner, without secrets", async () => {
    const { user, otp } = await ready();
    const update = passwordUpdate(user, otp);
    expectEmptyOk(await putPassword(server.client(), update));
    expect(noticesTo(server, user.email)).toEqual(["password-changed"]);
    const letter = JSON.stringify(server.letters.findLast(({ to }) => to === user.email));
    for (const secret of [otp, Buffer.from(update.new_auth_string).toString("base64")]) {
      expect(letter).not.toContain(secret);
    }
  });

  test("C24: a full mail queue refuses the change before anything is done", async () => {
    const { user, otp } = await ready();
    const requireRoom = () => {
      throw overloaded("Too many mails wait to be sent.", 30);
    };
    await withService(server, "mailer", { requireRoom }, () =>
      expectUnchanged(server.db, async () => {
        expect((await putPassword(server.client(), passwordUpdate(user, otp))).status).toBe(503);
      }),
    );
    expectEmptyOk(await putPassword(server.client(), passwordUpdate(user, otp)));
  });

  test("C24: a change that was made is answered so, even when the notice cannot be sent; the log says it", async () => {
    const { user, otp } = await ready();
    const send = () => {
      throw overloaded("Too many mails wait to be sent.", 30);
    };
    const answer = await withService(server, "mailer", { send }, () =>
      putPassword(server.client(), passwordUpdate(user, otp)),
    );
    expectEmptyOk(answer);
    server.services.log.flush();
    const lines = server.logLines.join("");
    expect(lines).toContain('"a notice was not sent"');
    expect(lines).not.toContain(user.email);
  });
});

describe("S1, S6: an address without an account", () => {
  test("S1: is answered as a wrong passcode: status, body and headers, after the same hash work and statements", async () => {
    const { user, otp } = await ready();
    const { server: watched, take } = await startWatchedServer(server);
    const known = await putPassword(watched.client(), passwordUpdate(user, wrong(otp)));
    const cost = take();
    const unknown = await putPassword(
      watched.client(),
      passwordUpdate({ ...user, email: "no@example.com" }, wrong(otp)),
    );

    expect(shapeOf(unknown)).toEqual(shapeOf(known));
    expect(take()).toEqual(cost);
    expect(cost).toMatchObject({ hashed: 1, verified: 0 });
    expect(cost.statements).toHaveLength(2);
    await watched.stop();
  });

  test("Speed: a change takes one hash and two statements", async () => {
    const { user, otp } = await ready();
    const { server: watched, take } = await startWatchedServer(server);
    expectEmptyOk(await putPassword(watched.client(), passwordUpdate(user, otp)));
    const { statements, ...work } = take();
    expect(work).toEqual({ hashed: 1, verified: 0 });
    expect(statements).toHaveLength(2);
    await watched.stop();
  });
});
