import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { userIdOf } from "../support/accounts.ts";
import { addKey, expectEmptyOk } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import {
  accountWith,
  cancel,
  confirm,
  DAY_MS,
  dueTime,
  exists,
  expectPage,
  linkFor,
  listedKeys,
  runJobs,
  TITLES,
} from "./steps.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_OTP_SEND_MAX_PER_PERIOD: "50" });
});
afterAll(() => server.stop());

describe("C14: a late confirmation is never lost", () => {
  test.each([
    [7, 7],
    [0, 7],
    [0, 1],
    [30, 1],
  ])(
    "C14: delay %p days, link %p days: confirmed in the link's last seconds, the account goes with its container",
    async (delay, lifetime) => {
      const other = await startTestServer(
        {
          ENTRIES_USER_DELETION_DELAY_DAYS: String(delay),
          ENTRIES_USER_DELETION_TOKEN_LIFETIME_DAYS: String(lifetime),
        },
        server.database,
      );
      const { account, boxes, tokens } = await accountWith(other, 1);
      const user_id = await userIdOf(other, account.user);
      const link = await linkFor(other, account, tokens);

      other.clock.aheadMs = lifetime * DAY_MS - 2_000;
      await runJobs(other);
      expectPage(await confirm(other, link), 200, TITLES.scheduled);
      // The jobs run just before it is due, when it is due, and were down for a while.
      other.clock.aheadMs += Math.max(0, delay * DAY_MS - 5_000);
      if (delay > 0) await runJobs(other);
      expect(await exists(other, "users", user_id)).toBe(true);
      other.clock.aheadMs += 20 * DAY_MS;
      await runJobs(other);

      expect(await exists(other, "users", user_id)).toBe(false);
      expect(await exists(other, "containers", boxes[0]?.id ?? "")).toBe(false);
      await other.stop();
    },
  );

  test("A12: confirming keeps the listed keys until at least 7 days after the deletion is due", async () => {
    const { account, tokens } = await accountWith(server, 2);
    const link = await linkFor(server, account, tokens);
    server.clock.aheadMs = 7 * DAY_MS - 5_000;
    await confirm(server, link);
    server.clock.aheadMs = 0;
    const due = (await dueTime(server, account)) ?? Number.NaN;
    const listed = await listedKeys(server, account);
    expect(listed.size).toBe(2);
    for (const time of listed.values()) expect(time).toBeGreaterThanOrEqual(due + 7 * DAY_MS);
  });

  test("C14: an account whose list is gone, whatever the reason, is deleted all the same", async () => {
    const other = await startTestServer({}, server.database);
    const { account, tokens } = await accountWith(other, 1);
    const user_id = await userIdOf(other, account.user);
    const link = await linkFor(other, account, tokens);
    await other.db`delete from user_deletion_request_container_keys where user_id = ${user_id}`;
    expectPage(await confirm(other, link), 200, TITLES.scheduled);
    other.clock.aheadMs = 8 * DAY_MS;
    await runJobs(other);
    expect(await exists(other, "users", user_id)).toBe(false);
    await other.stop();
  });

  test("8.9, C1: what is shared stays for the others, what is not goes; a cancelled deletion deletes nothing", async () => {
    const other = await startTestServer({}, server.database);
    const { account, boxes, tokens } = await accountWith(other, 2);
    const { account: kept, boxes: keptBoxes, tokens: keptTokens } = await accountWith(other, 1);
    const [own, shared] = boxes;
    if (!own || !shared) throw new Error("there are too few containers");
    await addKey(other.db, shared);
    const ids = [await userIdOf(other, account.user), await userIdOf(other, kept.user)] as const;
    await confirm(other, await linkFor(other, account, tokens));
    await confirm(other, await linkFor(other, kept, keptTokens));
    expectEmptyOk(await cancel(kept));
    other.clock.aheadMs = 8 * DAY_MS;
    await runJobs(other);

    expect(await exists(other, "users", ids[0])).toBe(false);
    expect(await exists(other, "users", ids[1])).toBe(true);
    expect(await exists(other, "containers", own.id)).toBe(false);
    expect(await exists(other, "containers", shared.id)).toBe(true);
    expect(await exists(other, "containers", keptBoxes[0]?.id ?? "")).toBe(true);
    await other.stop();
  });
});
