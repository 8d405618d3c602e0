/** Races that are certain: all changes wait for the account's row, so each has seen the passcode or key while it was good. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { recover, recovery } from "../recovery/recoveries.ts";
import { countByStatus, userIdOf } from "../support/accounts.ts";
import type { Answer } from "../support/client.ts";
import { heldUp } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import {
  accountKeyUpdate,
  changeOtp,
  noticesTo,
  passwordUpdate,
  putAccountKey,
  putPassword,
  putRecoveryKey,
  recoveryKeyUpdate,
} from "./changes.ts";

const REQUESTS = 4;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

type Account = Awaited<ReturnType<TestServer["signUp"]>>;

const CHANGES: [string, (account: Account, otp: string) => Promise<Answer<unknown>>][] = [
  ["C10: a passcode makes one change of the password", (a, otp) => putPassword(a.client, passwordUpdate(a.user, otp))],
  ["C10: a passcode makes one change of the recovery key", (a, otp) => putRecoveryKey(a, recoveryKeyUpdate(otp))],
  ["C10: a passcode makes one change of the account key", (a, otp) => putAccountKey(a, accountKeyUpdate(a.user, otp))],
  ["C11: a recovery key makes one recovery", ({ client, user }) => recover(client, recovery(user))],
];

test.each(CHANGES)("%s, however many come at once", async (_what, change) => {
  const account = await server.signUp();
  const otp = await changeOtp(server, account, account.user);
  const user_id = await userIdOf(server, account.user);
  const answers = await heldUp(
    server.db,
    (transaction) => transaction`select from users where id = ${user_id} for update`,
    Array.from({ length: REQUESTS }, () => () => change(account, otp)),
  );

  expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": REQUESTS - 1 });
  expect(noticesTo(server, account.user.email)).toHaveLength(1);
});
