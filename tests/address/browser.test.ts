/** Decision A10 in a real browser: with the keyboard alone, without JavaScript, in light and dark, on a phone. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { userIdOf } from "../support/accounts.ts";
import { CHROMIUM, LOOKS, launchChromium, openTab } from "../support/chromium.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, UNLIMITED } from "../support/socket.ts";
import { addressOf, freshAddress, issueLink, linkFor, TITLES } from "./links.ts";

const LONG_ADDRESS = `${"annabella.".repeat(12)}smith@a-rather-long-name-of-a-mail-server.example.com`;
const HOSTILE_ADDRESS = `<img src=x onerror=alert(1)>"'&@example.com`;
const BUTTON = "Use this address";

describe.skipIf(!CHROMIUM)("the page in Chromium", () => {
  let server: TestServer;
  let socket: ReturnType<typeof listen>;
  let browser: Browser;
  let origin: string;
  beforeAll(async () => {
    server = await startTestServer(UNLIMITED);
    socket = listen(server);
    origin = `http://127.0.0.1:${socket.port}`;
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await socket?.stop();
    await server?.stop();
  });

  /** The link as it would be mailed by a server with this origin. */
  const here = ({ pathname, search }: URL) => `${origin}${pathname}${search}`;

  describe.each([...LOOKS])("$name", (look) => {
    test("A10: a new address is confirmed with Tab and Enter; opening the page alone changed nothing", async () => {
      const account = await server.signUp();
      const id = await userIdOf(server, account.user);
      const new_email = freshAddress();
      const link = here(await linkFor(server, account, new_email));
      const tab = await openTab(browser, origin, look);
      const { page } = tab;

      await page.goto(link);
      expect(await page.title()).toBe(TITLES.asking);
      expect(await page.textContent(".address")).toBe(new_email);
      await tab.expectClean();
      await tab.takePicture("address asking");
      expect(await addressOf(server, id)).toBe(account.user.email);

      await tab.tabTo(BUTTON);
      await tab.takePicture("address focus");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: TITLES.changed }).waitFor();
      expect(await page.textContent(".address")).toBe(new_email);
      await tab.expectClean();
      await tab.takePicture("address changed");
      expect(await addressOf(server, id)).toBe(new_email);

      await page.goto(link);
      expect(await page.title()).toBe(TITLES.void);
      await tab.expectClean();
      await tab.close();
    });

    test("A10: pressed in two windows, the second one is told that the link is void", async () => {
      const account = await server.signUp();
      const link = here(await linkFor(server, account));
      const [first, last] = [await openTab(browser, origin, look), await openTab(browser, origin, look)];
      for (const { page } of [first, last]) await page.goto(link);
      for (const [tab, title] of [[first, TITLES.changed] as const, [last, TITLES.void] as const]) {
        await tab.page.getByRole("button", { name: BUTTON }).click();
        await tab.page.getByRole("heading", { name: title }).waitFor();
        await tab.expectClean();
        await tab.close();
      }
    });

    test("A10: an address that was taken meanwhile, a broken link and one that is too old are told", async () => {
      const account = await server.signUp();
      const new_email = freshAddress();
      const link = here(await linkFor(server, account, new_email));
      const holder = await server.signUp();
      await server.db`update users set email = ${new_email} where email = ${holder.user.email}`;
      const tab = await openTab(browser, origin, look);
      const { page } = tab;
      await page.goto(link);
      await page.getByRole("button", { name: BUTTON }).click();
      await page.getByRole("heading", { name: TITLES.taken }).waitFor();
      expect(await page.textContent(".address")).toBe(new_email);
      await tab.expectClean();
      await tab.takePicture("address taken");

      await page.goto(link.slice(0, -10));
      expect(await page.title()).toBe(TITLES.invalid);
      await tab.expectClean();
      server.clock.aheadMs = 25 * 3_600_000;
      await page.goto(link);
      server.clock.aheadMs = 0;
      expect(await page.title()).toBe(TITLES.expired);
      await tab.expectClean();
      await tab.takePicture("address expired");
      await tab.close();
    });

    test.each([
      ["as long as it may be", LONG_ADDRESS],
      ["that is HTML (S18)", HOSTILE_ADDRESS],
    ])("an address %s stands on every page as it is", async (what, address) => {
      const link = here(await issueLink(server, await server.signUp(), address));
      const tab = await openTab(browser, origin, look);
      const { page } = tab;
      await page.goto(link);
      expect(await page.textContent(".address")).toBe(address);
      await tab.expectClean();
      await tab.takePicture(`address ${what.split(" ")[0]}`);
      await tab.tabTo(BUTTON);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: TITLES.changed }).waitFor();
      expect(await page.textContent(".address")).toBe(address);
      await tab.expectClean();

      const late = here(await issueLink(server, await server.signUp(), address));
      await page.goto(late);
      await page.getByRole("button", { name: BUTTON }).click();
      await page.getByRole("heading", { name: TITLES.taken }).waitFor();
      expect(await page.textContent(".address")).toBe(address);
      await tab.expectClean();
      await tab.close();
      await server.db`delete from users where email = ${address}`;
    });
  });
});
