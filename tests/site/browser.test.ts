/** The front page and the page of the description in a real browser: light and dark, on a desktop and on a phone. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { version } from "../../package.json";
import { CHROMIUM, LOOKS, launchChromium, openTab } from "../support/chromium.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, UNLIMITED } from "../support/socket.ts";

describe.skipIf(!CHROMIUM)("in Chromium", () => {
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

  test.each([...LOOKS])(
    "$name: the front page is readable, without script, and the keyboard leads to the documents",
    async (look) => {
      const tab = await openTab(browser, origin, look);
      const { page } = tab;
      await page.goto(`${origin}/`);
      expect(await page.title()).toBe("entries-server");
      expect(await page.getByText(`Version ${version}`).isVisible()).toBe(true);
      expect(await page.evaluate<number>("document.images[0].naturalWidth")).toBeGreaterThan(0);
      await tab.expectClean();
      await tab.takePicture("front page");
      await tab.tabTo("Protobuf definitions schema.proto");
      await page.keyboard.press("Enter");
      await page.waitForURL(`${origin}/schema.proto`);
      await tab.close();
    },
  );

  // The library takes seconds for a page, so two looks must do.
  test.each(LOOKS.filter(({ name }) => name === "light on a desktop" || name === "dark on a phone"))(
    "$name: the page of the description opens, and a call can be tried",
    async (look) => {
      const tab = await openTab(browser, origin, look, true);
      const { page } = tab;
      await page.goto(`${origin}/docs`);
      await page.locator("#operations-tag-Entries").waitFor();
      const isDark = await page.evaluate<boolean>("document.documentElement.classList.contains('dark-mode')");
      expect(isDark).toBe(look.colorScheme === "dark");
      await page.locator("#operations-tag-Server").click();
      const heartbeat = page.locator("#operations-Server-getHeartbeat");
      await heartbeat.locator(".opblock-summary-control").click();
      await heartbeat.getByRole("button", { name: "Try it out" }).click();
      const answered = page.waitForResponse(`${origin}/api/heartbeat`);
      await heartbeat.getByRole("button", { name: "Execute" }).click();
      expect((await answered).status()).toBe(200);
      await heartbeat.locator(".live-responses-table .response-col_status", { hasText: "200" }).waitFor();
      await tab.takePicture("docs call");
      tab.expectQuiet();
      expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBeLessThanOrEqual(look.width);
      await tab.close();
    },
  );

  test("a message is shown in both encodings, and a call with a query goes out as JSON", async () => {
    const tab = await openTab(
      browser,
      origin,
      LOOKS[0] ?? { name: "", colorScheme: "light", width: 0, height: 0 },
      true,
    );
    const { page } = tab;
    await page.goto(`${origin}/docs#/Sign-in/getAuthNonceAndAuthStringParams`);
    const nonce = page.locator("#operations-Sign-in-getAuthNonceAndAuthStringParams");
    await nonce.getByRole("button", { name: "Try it out" }).click();
    await nonce.getByPlaceholder("email").fill("ann@example.com");
    const types = await nonce.locator("select.content-type").first().locator("option").allTextContents();
    expect(types).toEqual(["application/json", "application/protobuf"]);
    const answered = page.waitForResponse(`${origin}/api/auth/nonce-and-auth-string-params?email=ann%40example.com`);
    await nonce.getByRole("button", { name: "Execute" }).click();
    const answer = await answered;
    expect(answer.headers()["content-type"]).toBe("application/json");
    expect(await answer.json()).toHaveProperty("nonce");
    tab.expectQuiet();
    await tab.close();
  });
});
