import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { overloaded } from "../../src/errors.ts";
import { referenceToken, userIdOf } from "../support/accounts.ts";
import { expectEmptyOk } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { openPage, postForm } from "../support/pages.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import {
  type Account,
  accountWith,
  cancel,
  confirm,
  DAY_MS,
  dueTime,
  exists,
  expectPage,
  isScheduled,
  linkFor,
  open,
  runJobs,
  TITLES,
  tokenIn,
} from "./steps.ts";

const OLD_PATH = "/api/user/deletion/verify";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_OTP_SEND_MAX_PER_PERIOD: "50" });
});
afterAll(() => server.stop());

describe("the link's page", () => {
  test("S15, A11: opening it, as scanners and previews do, changes nothing", async () => {
    const { account, tokens } = await accountWith(server, 1);
    const link = await linkFor(server, account, tokens);
    await expectUnchanged(server.db, async () => {
      for (let times = 0; times < 3; times++) expectPage(await open(server, link), 200, TITLES.asking);
    });
    expect(await isScheduled(account)).toBe(false);
  });

  test("8.10: it shows the address and the days, and has the one form that confirms", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    const { html } = await open(server, link);
    expect(html).toContain(account.user.email);
    expect(html).toContain("in 7 days");
    expect(html.match(/<form /g)).toHaveLength(1);
    expect(html).toContain('<form method="post" action="?">');
    expect(html).toContain(`<input type="hidden" name="token" value="${tokenIn(link)}">`);
    expect(html).toContain("<button");
  });

  test.each([
    [0, "very soon"],
    [1, "in 1 day"],
    [30, "in 30 days"],
  ])("8.10: with a delay of %p days the pages and the letter say %s", async (days, words) => {
    const other = await startTestServer({ ENTRIES_USER_DELETION_DELAY_DAYS: String(days) }, server.database);
    const { account } = await accountWith(other, 0);
    const link = await linkFor(other, account);
    expect((await open(other, link)).html).toContain(words);
    const done = await confirm(other, link);
    expectPage(done, 200, TITLES.scheduled);
    expect(done.html).toContain(words);
    expect(other.letters.at(-1)?.text).toContain(words);
    await other.stop();
  });
});

describe("confirming", () => {
  test("8.10: it schedules the deletion after the delay, changes nothing else, and shows address and days", async () => {
    const { account, boxes, tokens } = await accountWith(server, 2);
    const link = await linkFor(server, account, tokens);
    const before = server.services.now();
    const seen = await confirm(server, link);

    expectPage(seen, 200, TITLES.scheduled);
    expect(seen.html).toContain(account.user.email);
    expect(seen.html).toContain("in 7 days");
    expect(await dueTime(server, account)).toBeWithin(before + 7 * DAY_MS, server.services.now() + 7 * DAY_MS + 1);
    expect((await account.fetch(tokens)).status).toBe(200);
    expect((await account.client.refresh(account.refreshToken)).status).toBe(200);
    await runJobs(server);
    expect(await exists(server, "containers", boxes[0]?.id ?? "")).toBe(true);
  });

  test("A10, A11: the owner is told by mail, in both parts, once", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    const letters = server.letters.length;
    await confirm(server, link);
    await confirm(server, link);
    const sent = server.letters.slice(letters);
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({
      to: account.user.email,
      subject: "The deletion of your account is scheduled (Entries App)",
    });
    for (const part of [sent[0]?.text, sent[0]?.html]) {
      const plain = part?.replace(/\s+/g, " ");
      expect(plain).toContain("It will be deleted in 7 days");
      expect(plain).toContain("you can cancel the deletion in the app");
    }
  });

  test("8.10: a second time is the page that says so: 400, and the time stays", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    const another = await linkFor(server, account);
    await confirm(server, link);
    const due = await dueTime(server, account);
    server.clock.aheadMs += 60_000;
    for (const seen of [await confirm(server, link), await confirm(server, another)]) {
      expectPage(seen, 400, TITLES.already);
      expect(seen.html).toContain(account.user.email);
    }
    for (const again of [link, another]) expectPage(await open(server, again), 400, TITLES.already);
    expect(await dueTime(server, account)).toBe(due ?? Number.NaN);
    server.clock.aheadMs = 0;
  });

  test("A12: of several presses at once, with one link or two, exactly one schedules; nobody gets a 500", async () => {
    const { account, tokens } = await accountWith(server, 2);
    const links = [await linkFor(server, account, tokens), await linkFor(server, account, tokens)];
    const letters = server.letters.length;
    const seen = await Promise.all([...links, ...links, ...links, ...links].map((link) => confirm(server, link)));
    expect(seen.map(({ title }) => title ?? "").sort()).toEqual([...Array(7).fill(TITLES.already), TITLES.scheduled]);
    expect(server.letters.length).toBe(letters + 1);
  });

  test("C24: with a full mail queue it is a page with 503, and nothing is scheduled", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    const { mailer } = server.services;
    server.services.mailer = {
      ...mailer,
      requireRoom() {
        throw overloaded("full", 30);
      },
    };
    await expectUnchanged(server.db, async () => {
      const seen = await confirm(server, link);
      expectPage(seen, 503, "Not possible right now");
      expect(seen.headers.get("retry-after")).toBe("30");
    });
    server.services.mailer = mailer;
    expectPage(await confirm(server, link), 200, TITLES.scheduled);
  });

  test("C24: a notice that cannot be sent does not undo what was confirmed", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    const { mailer } = server.services;
    server.services.mailer = {
      ...mailer,
      send() {
        throw new Error("no mail today");
      },
    };
    const seen = await confirm(server, link);
    server.services.mailer = mailer;
    expectPage(seen, 200, TITLES.scheduled);
    expect(await isScheduled(account)).toBe(true);
  });

  test("new-messages.md: a browser that is signed in confirms without a CSRF token", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    const seen = await postForm(
      server,
      new URL(link).pathname,
      { token: tokenIn(link) },
      {
        cookie: `x-access-token=${account.accessToken}; x-csrf-token=c`,
        origin: "null",
        "sec-fetch-site": "same-origin",
      },
    );
    expectPage(seen, 200, TITLES.scheduled);
  });
});

describe("links that are no good", () => {
  test("8.10: after its lifetime it has expired: 400, to open and to confirm; one second before it works", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    server.clock.aheadMs = 7 * DAY_MS - 2_000;
    expectPage(await open(server, link), 200, TITLES.asking);
    server.clock.aheadMs = 7 * DAY_MS + 1_000;
    await expectUnchanged(server.db, async () => {
      for (const seen of [await open(server, link), await confirm(server, link)]) expectPage(seen, 400, TITLES.expired);
    });
    server.clock.aheadMs = 0;
  });

  test("8.10: other types of token and damaged ones are not valid: 400", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    const user_id = await userIdOf(server, account.user);
    const expirationSecs = Math.floor(server.services.now() / 1000) + 60;
    const foreign = (["Access", "Refresh", "SignIn", "EmailChange"] as const).map(
      (type) => server.services.tokens.issue({ type, user_id, expirationSecs }).text,
    );
    await expectUnchanged(server.db, async () => {
      for (const token of [...foreign, `${tokenIn(link)}A`, tokenIn(link).slice(4), ""]) {
        const encoded = encodeURIComponent(token);
        expectPage(await openPage(server, `/account/deletion?token=${encoded}`), 400, TITLES.invalid);
        expectPage(await postForm(server, "/account/deletion", { token }), 400, TITLES.invalid);
      }
    });
  });

  test("C16: for an account that is gone it is no longer valid: 400, not 500", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    await server.db`delete from users where email = ${account.user.email}`;
    for (const seen of [await open(server, link), await confirm(server, link)]) expectPage(seen, 400, TITLES.void);
  });

  test("S8: once the account has another epoch, after a password change for example, it is no longer valid", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    await server.db`update users set token_epoch = gen_random_uuid() where email = ${account.user.email}`;
    await expectUnchanged(server.db, async () => {
      for (const seen of [await open(server, link), await confirm(server, link)]) expectPage(seen, 400, TITLES.void);
    });
  });
});

describe("both paths and both names of the parameter", () => {
  test.each([
    ["/account/deletion", "token"],
    ["/account/deletion", "x-user-deletion-token"],
    [OLD_PATH, "token"],
    [OLD_PATH, "x-user-deletion-token"],
  ])("C20, A11: GET and POST %s with %s, percent-encoded and raw", async (path, name) => {
    const { account } = await accountWith(server, 0);
    const user_id = await userIdOf(server, account.user);
    const tokens = ["", "a", "aa"].map((longer) => referenceToken(server, "UserDeletion", { user_id, email: longer }));
    const token = tokens.find((text) => text.endsWith("=")) ?? "";
    for (const text of [token, encodeURIComponent(token), token.replaceAll("=", "%3d")]) {
      const seen = await openPage(server, `${path}?${name}=${text}`);
      expectPage(seen, 200, TITLES.asking);
      expect(seen.html).toContain(`value="${token}"`);
    }
    expectPage(await openPage(server, `${path}?x${name}=${token}`), 400, TITLES.invalid);
    expectPage(await openPage(server, `${path}?token=${token}&x-user-deletion-token=${token}`), 400, TITLES.invalid);
    expectPage(await postForm(server, path, { token }), 200, TITLES.scheduled);
  });

  describe("links of the reference", () => {
    /** As its mails have it: the user id and the address in clear, the padding not escaped. */
    async function referenceLink(account: Account, lifetimeSecs = 3600): Promise<string> {
      const user_id = await userIdOf(server, account.user);
      const token = referenceToken(server, "UserDeletion", { user_id, email: account.user.email, lifetimeSecs });
      return `http://localhost${OLD_PATH}?x-user-deletion-token=${token}`;
    }
    const press = (link: string) => postForm(server, OLD_PATH, { token: link.slice(link.indexOf("=") + 1) });

    test("A2: they work until they expire, and by the user id, not by the address that they were mailed to", async () => {
      const { account } = await accountWith(server, 0);
      const link = await referenceLink(account);
      const expired = await referenceLink(account, 0);
      const moved = `moved-${account.user.email}`;
      await server.db`update users set email = ${moved} where email = ${account.user.email}`;
      account.user.email = moved;
      expectPage(await open(server, expired), 400, TITLES.expired);
      expect((await open(server, link)).html).toContain(moved);
      expectPage(await press(link), 200, TITLES.scheduled);
      expect(await isScheduled(account)).toBe(true);
      expectPage(await open(server, link), 400, TITLES.already);
    });

    test("S15: one that was used does not work again after a cancellation, although it names no epoch", async () => {
      const { account } = await accountWith(server, 0);
      const link = await referenceLink(account);
      expectPage(await press(link), 200, TITLES.scheduled);
      expectEmptyOk(await cancel(account));
      expectPage(await open(server, link), 400, TITLES.void);
      expectPage(await press(link), 400, TITLES.void);
      expect(await isScheduled(account)).toBe(false);
    });
  });
});

describe("S18: an address that is HTML", () => {
  test.each([`<img src=x onerror=alert(1)>"'&@example.com`, `</p></main><script>alert(1)</script>\t@example.com`])(
    "S18: %p is escaped on every page and in every letter",
    async (address) => {
      const { account } = await accountWith(server, 0);
      await server.db`update users set email = ${address} where email = ${account.user.email}`;
      account.user.email = address;
      const link = await linkFor(server, account);
      const letters = server.letters.length;
      const pages = [await open(server, link), await confirm(server, link), await confirm(server, link)];
      pages.push(await open(server, link));
      expect(pages.map(({ title }) => title ?? "")).toEqual([
        TITLES.asking,
        TITLES.scheduled,
        TITLES.already,
        TITLES.already,
      ]);
      for (const { html } of pages) {
        expect(html).toContain(Bun.escapeHTML(address));
        expect(html).not.toContain(address);
        expect(html).not.toMatch(/<(?:img|script)/);
      }
      for (const letter of server.letters.slice(letters - 1)) expect(letter.html).not.toMatch(/<(?:img|script)/);
      await server.db`delete from users where email = ${address}`;
    },
  );
});
