/** Requests that meet: the test holds a lock, so that each of these races comes about. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Executor } from "../../src/db/query.ts";
import { userIdOf } from "../support/accounts.ts";
import { expectEmptyOk } from "../support/containerCalls.ts";
import { someoneWaits } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { askForDeletion, cancel, confirm, isScheduled, linkFor, linkTo, listedKeys, open, TITLES } from "./steps.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_OTP_SEND_MAX_PER_PERIOD: "50" });
});
afterAll(() => server.stop());

/** An account that listed the key of its one container, and the link that confirms it. */
async function askedAccount() {
  const account = await server.signUp();
  const box = await account.createContainer();
  const link = await linkFor(server, account, [box.token()]);
  return { account, box, link, user_id: await userIdOf(server, account.user) };
}

/**
 * Starts requests one after the other while a row is locked, each once the one before waits, and lets go.
 *
 * @param lock takes the lock within a transaction
 */
async function meet<First, Second>(
  lock: (transaction: Executor) => Promise<unknown>,
  first: () => Promise<First>,
  second: () => Promise<Second>,
): Promise<[First, Second]> {
  let answers: Promise<[First, Second]> | undefined;
  await server.db.begin(async (transaction) => {
    await lock(transaction);
    const earlier = first();
    await someoneWaits(server.db, 1);
    const later = second();
    await someoneWaits(server.db, 2);
    answers = Promise.all([earlier, later]);
  });
  if (!answers) throw new Error("the requests were not started");
  return answers;
}

const lockAccount = (user_id: string) => (transaction: Executor) =>
  transaction`select from users where id = ${user_id} for no key update`;
/** Whoever cancels waits here in the middle: the links are void by then, but nobody sees that yet. */
const lockListedKeys = (user_id: string) => (transaction: Executor) =>
  transaction`select from user_deletion_request_container_keys where user_id = ${user_id} for update`;

describe("A12", () => {
  test("A12: a cancellation removes what was confirmed while it waited", async () => {
    const { account, link, user_id } = await askedAccount();
    const [confirmed, cancelled] = await meet(
      lockAccount(user_id),
      () => confirm(server, link),
      () => cancel(account),
    );
    expect(confirmed.title).toBe(TITLES.scheduled);
    expectEmptyOk(cancelled);
    expect(await isScheduled(account)).toBe(false);
    expect((await listedKeys(server, account)).size).toBe(0);
  });

  test("A12, S15: a confirmation that comes while a cancellation is under way finds the link void", async () => {
    const { account, link, user_id } = await askedAccount();
    const [cancelled, confirmed] = await meet(
      lockListedKeys(user_id),
      () => cancel(account),
      () => confirm(server, link),
    );
    expectEmptyOk(cancelled);
    expect({ status: confirmed.status, title: confirmed.title }).toEqual({ status: 400, title: TITLES.void });
    expect(await isScheduled(account)).toBe(false);
  });

  test("A12: a request that comes while a cancellation is under way gets a link that works, with its keys", async () => {
    const { account, box, user_id } = await askedAccount();
    const [cancelled, asked] = await meet(
      lockListedKeys(user_id),
      () => cancel(account),
      () => askForDeletion(account, [box.token()]),
    );
    expectEmptyOk(cancelled);
    expect(asked.status).toBe(200);
    expect((await open(server, linkTo(server, account.user.email))).title).toBe(TITLES.asking);
    expect((await listedKeys(server, account)).size).toBe(1);
  });

  test("A12: two confirmations that meet: one schedules, the other says that it is scheduled", async () => {
    const { link, user_id } = await askedAccount();
    const seen = await meet(
      lockAccount(user_id),
      () => confirm(server, link),
      () => confirm(server, link),
    );
    expect(seen.map(({ title }) => title ?? "")).toEqual([TITLES.scheduled, TITLES.already]);
  });
});
