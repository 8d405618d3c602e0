import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  accountKeyUpdate,
  changeOtp,
  passwordUpdate,
  putAccountKey,
  putPassword,
  putRecoveryKey,
  recoveryKeyUpdate,
} from "../credential/changes.ts";
import { referenceToken, sessionsOf, signInAgain, userIdOf } from "../support/accounts.ts";
import type { Answer } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { someoneWaits } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { recover, recovery } from "./recoveries.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000" });
});
afterAll(() => server.stop());

type SignedUp = Awaited<ReturnType<TestServer["signUp"]>>;

/** What revokes sessions, ready to be sent. */
const CHANGES: [string, (device: SignedUp) => Promise<() => Promise<Answer<unknown>>>][] = [
  [
    "a password change",
    async (device) => {
      const otp = await changeOtp(server, device, device.user);
      return () => putPassword(server.client(), passwordUpdate(device.user, otp));
    },
  ],
  [
    "an account-key change",
    async (device) => {
      const otp = await changeOtp(server, device, device.user);
      return () => putAccountKey(device, accountKeyUpdate(device.user, otp));
    },
  ],
  [
    "a recovery",
    async ({ user }) =>
      () =>
        recover(server.client(), recovery(user)),
  ],
];

describe.each(CHANGES)("A5: %s", (what, prepare) => {
  const survivors = what === "an account-key change" ? 1 : 0; // the session of the request

  test("revokes the session that a sign-in under way opens at the same time", async () => {
    const device = await server.signUp();
    const user_id = await userIdOf(server, device.user);
    await signInAgain(server, device.user);
    const change = await prepare(device);
    let answer: Promise<Answer<unknown>> | undefined;
    await server.db.begin(async (transaction) => {
      // As verify_otp does it, not committed yet.
      await transaction`update user_otps set otp_hmac = null where user_id = ${user_id} and purpose = 'sign-in'`;
      await transaction`
        insert into sessions (id, user_id, refresh_token_hash, rotated_at, expiration)
        values (${crypto.randomUUID()}, ${user_id}, ${new Uint8Array(32)}, '2030-01-01', '2030-02-01')`;
      answer = change();
      await someoneWaits(server.db, 1);
    });
    expectEmptyOk(await (answer ?? Promise.reject(new Error("not sent"))));
    expect(await sessionsOf(server, device.user)).toHaveLength(survivors);
  });
});

describe("A3, A5: a revocation", () => {
  test("A3: refuses the first refresh of a reference's token that comes while it runs", async () => {
    const { user } = await server.signUp();
    const names = { user_id: await userIdOf(server, user), email: user.email };
    const refreshToken = referenceToken(server, "Refresh", names);
    const refresh = () => server.client().refresh(refreshToken);
    let refreshed: ReturnType<typeof refresh> | undefined;
    await server.db.begin(async (transaction) => {
      await transaction`select revoke_sessions(${names.user_id}, null, '2000-01-01')`;
      refreshed = refresh();
      await someoneWaits(server.db, 1);
    });
    expectError(await (refreshed ?? Promise.reject(new Error("not sent"))), "TOKEN_EXPIRED");
    expect(await sessionsOf(server, user)).toHaveLength(0);
  });
});

describe("C5, C6: changes of one account at once", () => {
  test.each<[string, (device: SignedUp, otp: string) => Promise<Answer<unknown>>]>([
    ["a password change", ({ client, user }, otp) => putPassword(client, passwordUpdate(user, otp))],
    ["a recovery-key change", (device, otp) => putRecoveryKey(device, recoveryKeyUpdate(otp))],
    ["an account-key change", (device, otp) => putAccountKey(device, accountKeyUpdate(device.user, otp))],
  ])("C6: %s and a recovery never wait for each other: the first has its way", async (_what, change) => {
    const device = await server.signUp();
    const user_id = await userIdOf(server, device.user);
    const otp = await changeOtp(server, device, device.user);
    let answer: Promise<Answer<unknown>> | undefined;
    await server.db.begin(async (transaction) => {
      // As the statement of a recovery does it: the account, then its passcodes.
      await transaction`update users set token_epoch = gen_random_uuid() where id = ${user_id}`;
      answer = change(device, otp);
      await someoneWaits(server.db, 1);
      await transaction`update user_otps set otp_hmac = null where user_id = ${user_id}`;
    });
    expectError(await (answer ?? Promise.reject(new Error("not sent"))), "INCORRECT_CREDENTIAL");
  });

  test("C6: none of a whole crowd answers 500", async () => {
    const device = await server.signUp();
    const { user } = device;
    const otp = await changeOtp(server, device, user);
    const { signinToken, otp: signInOtp } = await signInAgain(server, user);
    const crowd = [1, 2, 3].flatMap(() => [
      recover(server.client(), recovery(user)),
      putPassword(server.client(), passwordUpdate(user, otp), device.headers()),
      putRecoveryKey(device, recoveryKeyUpdate(otp)),
      putAccountKey(device, accountKeyUpdate(user, otp)),
      server.client().verifyOtp(signinToken, signInOtp),
      device.client.call("POST", "/api/auth/otp", { headers: device.headers() }),
    ]);
    const answers: Answer<unknown>[] = await Promise.all(crowd);
    expect(answers.filter(({ status }) => status >= 500)).toEqual([]);
  });
});
