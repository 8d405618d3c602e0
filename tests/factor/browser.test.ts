/** Passkeys as Chromium makes them: what the server asks is understood, and what the browser answers is right. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { granted } from "../support/accounts.ts";
import { CHROMIUM, launchChromium } from "../support/chromium.ts";
import { expectError } from "../support/containerCalls.ts";
import { FACTOR_ENVIRONMENT, factorsOf, ORIGIN, passkeyOptions, signInQuietly, verify } from "../support/factors.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/** Of Chromium's virtual authenticators (the protocol of its developer tools, domain WebAuthn). */
const AUTHENTICATORS = [
  { name: "a phone's own", protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true },
  { name: "a security key with PIN", protocol: "ctap2", transport: "usb", hasUserVerification: true },
  { name: "an old security key", protocol: "u2f", transport: "usb" },
] as const;

const CREATE = `async (json) => {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(json));
  return JSON.stringify(await navigator.credentials.create({ publicKey }));
}`;
const GET = `async (json) => {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(json));
  return JSON.stringify(await navigator.credentials.get({ publicKey }));
}`;

describe.skipIf(!CHROMIUM)("in Chromium", () => {
  let server: TestServer;
  let browser: Browser;
  beforeAll(async () => {
    server = await startTestServer(FACTOR_ENVIRONMENT);
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** An empty page of a site, without asking the network, and an authenticator at hand. */
  async function open(site: string, { name: _, ...options }: (typeof AUTHENTICATORS)[number]): Promise<Page> {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.route("**/*", (route) =>
      route.fulfill({ contentType: "text/html", body: "<!doctype html><title>-</title>" }),
    );
    await page.goto(site);
    const tools = await context.newCDPSession(page);
    await tools.send("WebAuthn.enable");
    const isUserVerified = "hasUserVerification" in options;
    await tools.send("WebAuthn.addVirtualAuthenticator", {
      options: { ...options, isUserVerified, automaticPresenceSimulation: true },
    });
    return page;
  }

  const answer = (page: Page, how: string, json: string) => page.evaluate<string>(`(${how})(${JSON.stringify(json)})`);

  test.each([...AUTHENTICATORS])("$name is enrolled and signs in, twice; nothing is enrolled twice", async (kind) => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    const page = await open(ORIGIN, kind);
    const begin = async () => granted(await factors.beginPasskey(owner.user.auth_string)).json;
    const added = await factors.addPasskey(await answer(page, CREATE, await begin()));
    expect({ status: added.status, error: added.error }).toEqual({ status: 201, error: undefined });

    for (let times = 0; times < 2; times++) {
      const token = await signInQuietly(owner);
      const { json } = granted(await passkeyOptions(owner.client, token));
      const passkey = await answer(page, GET, json);
      expect((await verify(owner.client, token, { passkey })).status).toBe(200);
    }
    await expect(answer(page, CREATE, await begin())).rejects.toThrow("InvalidStateError");
    await page.context().close();
  });

  test("another site under the same domain is not allowed, and a foreign one gets no answer at all", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    const [kind] = AUTHENTICATORS;
    const { json } = granted(await factors.beginPasskey(owner.user.auth_string));
    const neighbour = await open("https://blog.entries.example.org", kind);
    expectError(await factors.addPasskey(await answer(neighbour, CREATE, json)), "INCORRECTLY_FORMED");
    const stranger = await open("https://entries.example.com", kind);
    await expect(answer(stranger, CREATE, json)).rejects.toThrow("SecurityError");
    for (const page of [neighbour, stranger]) await page.context().close();
  });
});
