import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ENCODINGS, expectEmptyOk, speaking } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import {
  accountWith,
  cancel,
  confirm,
  dueTime,
  isScheduled,
  linkFor,
  listedKeys,
  open,
  TITLES,
  tokensOf,
} from "./steps.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_OTP_SEND_MAX_PER_PERIOD: "50" });
});
afterAll(() => server.stop());

describe("GET /api/user/deletion", () => {
  test.each([...ENCODINGS])(
    "8.11: in %s false, true once it is confirmed, false after it was cancelled",
    async (encoding) => {
      const { account } = await accountWith(server, 0);
      const device = speaking(encoding, account, server);
      expect(await isScheduled(device)).toBe(false);
      const link = await linkFor(server, account);
      expect(await isScheduled(device)).toBe(false);
      expect((await confirm(server, link)).title).toBe(TITLES.scheduled);
      expect(await isScheduled(device)).toBe(true);
      expectEmptyOk(await cancel(device));
      expect(await isScheduled(device)).toBe(false);
    },
  );
});

describe("DELETE /api/user/deletion", () => {
  test("8.12: 200 also when there was none, again and again", async () => {
    const { account } = await accountWith(server, 0);
    for (let times = 0; times < 3; times++) expectEmptyOk(await cancel(account));
  });

  test("C13, A12: it removes the request and the listed keys, of this account alone", async () => {
    const { account, boxes } = await accountWith(server, 2);
    const { account: other, boxes: others } = await accountWith(server, 1);
    const link = await linkFor(server, account, tokensOf(boxes));
    await confirm(server, await linkFor(server, other, [...tokensOf(others), boxes[0]?.token() ?? ""]));
    await confirm(server, link);
    expectEmptyOk(await cancel(account));

    expect(await dueTime(server, account)).toBeUndefined();
    expect((await listedKeys(server, account)).size).toBe(0);
    expect(await dueTime(server, other)).toBeNumber();
    expect((await listedKeys(server, other)).size).toBe(2);
    for (const box of boxes) expect((await account.fetch([box.token()])).status).toBe(200);
  });

  test("S15: it voids the links that were mailed, used or not; a new request works", async () => {
    const { account, boxes } = await accountWith(server, 1);
    const unused = await linkFor(server, account, tokensOf(boxes));
    const used = await linkFor(server, account, tokensOf(boxes));
    await confirm(server, used);
    expectEmptyOk(await cancel(account));
    for (const link of [unused, used]) {
      await expectUnchanged(server.db, async () => {
        for (const seen of [await open(server, link), await confirm(server, link)]) {
          expect({ status: seen.status, title: seen.title }).toEqual({ status: 400, title: TITLES.void });
        }
      });
    }
    expect(await isScheduled(account)).toBe(false);
    expect((await confirm(server, await linkFor(server, account, tokensOf(boxes)))).title).toBe(TITLES.scheduled);
  });

  test("A12: cancelling and confirming at once leaves no half: the last one counts, and nobody gets a 500", async () => {
    for (let round = 0; round < 10; round++) {
      const { account, boxes } = await accountWith(server, 1);
      const link = await linkFor(server, account, tokensOf(boxes));
      const [confirmed, cancelled] = await Promise.all([confirm(server, link), cancel(account)]);
      expect([TITLES.scheduled, TITLES.void]).toContain(confirmed.title ?? "");
      expectEmptyOk(cancelled);
      // Whoever was told that it is cancelled can rely on it.
      expect(await isScheduled(account)).toBe(false);
      expect((await listedKeys(server, account)).size).toBe(0);
    }
  });
});
