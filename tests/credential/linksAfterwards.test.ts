/** What was begun before a change of the password, a change of the account key or a recovery is void afterwards. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  TITLES as ADDRESS_TITLES,
  linkFor as addressLinkFor,
  addressOf,
  confirm as confirmAddress,
} from "../address/links.ts";
import {
  confirm as confirmDeletion,
  TITLES as DELETION_TITLES,
  linkFor as deletionLinkFor,
  dueTime,
  expectPage,
} from "../deletion/steps.ts";
import { recover, recovery } from "../recovery/recoveries.ts";
import { signInAgain, userIdOf } from "../support/accounts.ts";
import type { Answer } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { accountKeyUpdate, changeOtp, passwordUpdate, putAccountKey, putPassword } from "./changes.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

type Account = Awaited<ReturnType<TestServer["signUp"]>>;

const CHANGES: [string, (account: Account, otp: string) => Promise<Answer<unknown>>][] = [
  ["a password change", ({ client, user }, otp) => putPassword(client, passwordUpdate(user, otp))],
  ["an account-key change", (account, otp) => putAccountKey(account, accountKeyUpdate(account.user, otp))],
  ["a recovery", ({ client, user }) => recover(client, recovery(user))],
];

test.each(CHANGES)("S8: after %s links and sign-ins that a thief may have begun are void", async (_what, change) => {
  const account = await server.signUp();
  const id = await userIdOf(server, account.user);
  const addressLink = await addressLinkFor(server, account);
  const deletionLink = await deletionLinkFor(server, account);
  const { signinToken, otp } = await signInAgain(server, account.user);
  expectEmptyOk(await change(account, await changeOtp(server, account, account.user)));

  expectPage(await confirmAddress(server, addressLink), 400, ADDRESS_TITLES.void);
  expectPage(await confirmDeletion(server, deletionLink), 400, DELETION_TITLES.void);
  expect(await addressOf(server, id)).toBe(account.user.email);
  expect(await dueTime(server, account)).toBeUndefined();
  expectError(await account.client.verifyOtp(signinToken, otp), "INCORRECT_CREDENTIAL");
  const resent = await account.client.call("POST", "/api/auth/otp/resend-signin-otp", {
    headers: { "x-signin-token": signinToken },
  });
  expectError(resent, "TOKEN_EXPIRED");
});
