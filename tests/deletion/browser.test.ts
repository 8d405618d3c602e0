/** Decision A11 in a real browser: with the keyboard alone, without JavaScript, in light and dark, on a phone. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { userIdOf } from "../support/accounts.ts";
import { CHROMIUM, LOOKS, launchChromium, openTab } from "../support/chromium.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, UNLIMITED } from "../support/socket.ts";
import { cancel, isScheduled, linkFor, TITLES } from "./steps.ts";

const LONG_ADDRESS = `${"annabella.".repeat(12)}smith@a-rather-long-name-of-a-mail-server.example.com`;
const HOSTILE_ADDRESS = `<img src=x onerror=alert(1)>"'&@example.com`;

describe.skipIf(!CHROMIUM)("the pages in Chromium", () => {
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
  const here = (link: string) => `${origin}${new URL(link).pathname}${new URL(link).search}`;

  describe.each([...LOOKS])("$name", (look) => {
    test("A11, S15: an account's deletion is confirmed with Tab and Enter; opening the page alone changed nothing", async () => {
      const account = await server.signUp();
      const link = here(await linkFor(server, account));
      const tab = await openTab(browser, origin, look);
      const { page } = tab;

      await page.goto(link);
      expect(await page.title()).toBe(TITLES.asking);
      expect(await page.textContent(".address")).toBe(account.user.email);
      await tab.expectClean();
      await tab.takePicture("deletion asking");
      expect(await isScheduled(account)).toBe(false);

      await tab.tabTo("Delete my account");
      await tab.takePicture("deletion focus");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: TITLES.scheduled }).waitFor();
      expect(await page.textContent("main")).toContain("in 7 days");
      await tab.expectClean();
      await tab.takePicture("deletion scheduled");
      expect(await isScheduled(account)).toBe(true);

      await page.goto(link);
      expect(await page.title()).toBe(TITLES.already);
      await tab.expectClean();
      await tab.takePicture("deletion already");

      await cancel(account);
      await page.goto(link);
      expect(await page.title()).toBe(TITLES.void);
      await tab.expectClean();
      await tab.takePicture("deletion void");
      await tab.close();
    });

    test("A11: links that are broken or too old are told in the same way", async () => {
      const account = await server.signUp();
      const link = here(await linkFor(server, account));
      const tab = await openTab(browser, origin, look);
      await tab.page.goto(link.slice(0, -10));
      expect(await tab.page.title()).toBe(TITLES.invalid);
      await tab.expectClean();
      server.clock.aheadMs = 8 * 86_400_000;
      await tab.page.goto(link);
      server.clock.aheadMs = 0;
      expect(await tab.page.title()).toBe(TITLES.expired);
      await tab.expectClean();
      await tab.takePicture("deletion expired");
      await tab.close();
    });

    test.each([
      ["as long as it may be", LONG_ADDRESS],
      ["that is HTML (S18)", HOSTILE_ADDRESS],
    ])("an address %s stands on every page as it is", async (what, address) => {
      const account = await server.signUp();
      await server.db`update users set email = ${address} where id = ${await userIdOf(server, account.user)}`;
      account.user.email = address;
      const link = here(await linkFor(server, account));
      const tab = await openTab(browser, origin, look);
      await tab.page.goto(link);
      const shown = () => tab.page.textContent(".address");
      expect(await shown()).toBe(address);
      await tab.expectClean();
      await tab.takePicture(`deletion address ${what.split(" ")[0]}`);
      await tab.tabTo("Delete my account");
      await tab.page.keyboard.press("Enter");
      await tab.page.getByRole("heading", { name: TITLES.scheduled }).waitFor();
      expect(await shown()).toBe(address);
      await tab.expectClean();
      await tab.page.goto(link);
      expect(await tab.page.title()).toBe(TITLES.already);
      expect(await shown()).toBe(address);
      await tab.expectClean();
      await tab.close();
      await server.db`delete from users where email = ${address}`;
    });
  });
});
