/**
 * Pages in a real browser: headless Chromium with JavaScript off unless a page is made of it, in all looks, with every request and every complaint
 * noted. Where no Chromium is installed, tests are skipped: `test.skipIf(!CHROMIUM)`.
 */
import { expect } from "bun:test";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

/** The program, from ENTRIES_TEST_CHROMIUM or where it usually is; undefined when there is none. */
export const CHROMIUM: string | undefined = findChromium();

function findChromium(): string | undefined {
  const named = process.env.ENTRIES_TEST_CHROMIUM;
  if (named && !existsSync(named)) throw new Error(`ENTRIES_TEST_CHROMIUM: there is no ${named}`);
  const usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
  return named ?? usual ?? Bun.which("google-chrome") ?? undefined;
}

/** How a page is looked at. */
export interface Look {
  name: string;
  colorScheme: "light" | "dark";
  /** Of the window, in CSS pixels. */
  width: number;
  height: number;
}

export const LOOKS: readonly Look[] = [
  { name: "light on a desktop", colorScheme: "light", width: 1280, height: 800 },
  { name: "dark on a desktop", colorScheme: "dark", width: 1280, height: 800 },
  { name: "light on a phone", colorScheme: "light", width: 320, height: 568 },
  { name: "dark on a phone", colorScheme: "dark", width: 320, height: 568 },
];

/** Starts the browser; whoever calls this closes it. It asks nobody for updates or anything else. */
export function launchChromium(): Promise<Browser> {
  const quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", ...quiet],
  });
}

/** One window with a page in it, as a person has it in front of them. */
export interface Tab {
  page: Page;
  /** Takes a picture of the whole page, into the folder that ENTRIES_TEST_SCREENSHOTS names, else a temporary one. */
  takePicture(name: string): Promise<void>;
  /**
   * Fails unless everything that was asked for came from the server under test, and the browser complained of nothing (a
   * policy that was breached, for example).
   */
  expectQuiet(): void;
  /** As above; and nothing may have to be scrolled sideways, and all text must have enough contrast. */
  expectClean(): Promise<void>;
  /** Goes on with the Tab key until an element with this text has the focus, and makes sure that one sees it. */
  tabTo(text: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param origin of the server under test, like `http://127.0.0.1:1234`
 * @param withScript for a page that is made by JavaScript
 */
export async function openTab(browser: Browser, origin: string, look: Look, withScript = false): Promise<Tab> {
  const { colorScheme, width, height } = look;
  const viewport = { width, height };
  const context = await browser.newContext({ javaScriptEnabled: withScript, colorScheme, viewport });
  const page = await context.newPage();
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));

  function expectQuiet(): void {
    const elsewhere = requests.filter((url) => !url.startsWith("data:") && new URL(url).origin !== origin);
    expect(elsewhere).toEqual([]);
    // A page that tells of an error has an error's status: the browser mentions that.
    const own = complaints.filter((text) => !text.startsWith("Failed to load resource: the server responded"));
    expect(own).toEqual([]);
  }

  return {
    page,
    expectQuiet,

    async takePicture(name) {
      const directory = process.env.ENTRIES_TEST_SCREENSHOTS ?? join(tmpdir(), `entries-screenshots-${userInfo().uid}`);
      mkdirSync(directory, { recursive: true });
      const path = join(directory, `${name} ${look.name}.png`.replaceAll(" ", "-"));
      await page.screenshot({ path, fullPage: true });
    },

    async expectClean() {
      expectQuiet();
      expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
      expect(await page.evaluate<string[]>(FAINT_TEXTS)).toEqual([]);
    },

    async tabTo(text) {
      for (let presses = 0; presses < 20; presses++) {
        await page.keyboard.press("Tab");
        const focused = await page.evaluate<string>("document.activeElement?.textContent ?? ''");
        if (focused.trim() === text) {
          const outline = await page.evaluate<number>(
            "parseFloat(getComputedStyle(document.activeElement).outlineWidth)",
          );
          expect(outline).toBeGreaterThanOrEqual(2);
          return;
        }
      }
      throw new Error(`the Tab key does not reach ${text}`);
    },

    close: () => context.close(),
  };
}

/**
 * Runs in the page: the texts whose contrast to their background is under 4.5 to 1 (WCAG 2.2, success criterion 1.4.3).
 * The evaluated text is JavaScript of the tests; the page's own stays off.
 */
const FAINT_TEXTS = `(() => {
  const channelsOf = (color) => (color.match(/[0-9.]+/g) ?? []).map(Number);
  const linear = (channel) => channel <= 10.31 ? channel / 3294.6 : ((channel / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const backgroundOf = (element) => {
    const channels = element ? channelsOf(getComputedStyle(element).backgroundColor) : [255, 255, 255];
    return channels[3] === 0 ? backgroundOf(element.parentElement) : channels;
  };
  const texts = [...document.body.querySelectorAll("*")].filter((element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== ""));
  if (texts.length === 0) return ["the page has no text"];
  return texts.flatMap((element) => {
    const pair = [luminance(channelsOf(getComputedStyle(element).color)), luminance(backgroundOf(element))];
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    return contrast < 4.5 ? [element.textContent.trim() + ": " + contrast.toFixed(2)] : [];
  });
})()`;
