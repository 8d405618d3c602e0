import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { userIdOf } from "../support/accounts.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { accountWith, askForDeletion, confirm, DAY_MS, linkFor, linkTo, TITLES, tokenIn } from "./steps.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_OTP_SEND_MAX_PER_PERIOD: "50" });
});
afterAll(() => server.stop());

describe("the letter with the link", () => {
  test("10: it says what the link does, when it expires, and that ignoring it keeps the account; in both parts", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    const letter = server.letters.at(-1);
    expect(letter?.to).toBe(account.user.email);
    expect(letter?.text).toContain(`\n${link}\n`);
    expect(letter?.html).toContain(`<a href="${link.replaceAll("&", "&amp;")}" rel="nofollow">`);
    expect(letter?.usefulForMs).toBe(7 * DAY_MS);
    for (const part of [letter?.text, letter?.html]) {
      const plain = part?.replace(/\s+/g, " ");
      expect(plain).toContain("Once you confirm there, the deletion is scheduled");
      expect(plain).toContain("The link expires in 7 days. If you ignore this letter, the account stays as it is.");
    }
    expect(letter?.text.match(/^[\x20-\x7e\n]+$/)).not.toBeNull();
  });

  test("A2, 8.9: its token is of type UserDeletion, lives as long as it says, and tells nobody whose it is", async () => {
    const { account } = await accountWith(server, 0);
    const link = await linkFor(server, account);
    const { pathname, searchParams } = new URL(link);
    expect(pathname).toBe("/account/deletion");
    expect([...searchParams.keys()]).toEqual(["token"]);
    const claims = Buffer.from(tokenIn(link), "base64url").subarray(0, -32).toString();
    expect(JSON.parse(claims)).toMatchObject({ typ: "UserDeletion" });
    const lifetimeSecs = JSON.parse(claims).exp - server.services.now() / 1000;
    expect(lifetimeSecs).toBeWithin(7 * 86_400 - 10, 7 * 86_400 + 1);
    expect(claims).not.toContain(await userIdOf(server, account.user));
    expect(claims).not.toContain(account.user.email);
  });

  test.each([
    [
      { ENTRIES_PUBLIC_URL: "https://entries.example.org/app/" },
      "https://entries.example.org/app/account/deletion?token=",
    ],
    [
      { ENTRIES_USER_DELETION_URL: "https://old.example.org/api/user/deletion/verify" },
      "https://old.example.org/api/user/deletion/verify?token=",
    ],
  ])("A11: with %p the link begins with %s", async (environment, beginning) => {
    const configured = await startTestServer({ ...environment }, server.database);
    const account = await configured.signUp();
    const link = await linkFor(configured, account);
    expect(link).toStartWith(beginning);
    // Percent-encoded: the padding of the token is no bare "=".
    expect(link.slice(beginning.length)).toMatch(/^[\w-]+(?:%3D)*$/);
    expect((await confirm(configured, link.replace("/app/", "/"))).title).toBe(TITLES.scheduled);
    await configured.stop();
  });

  test("it goes to the address that the account has now", async () => {
    const { account } = await accountWith(server, 0);
    const moved = `moved-${account.user.email}`;
    await server.db`update users set email = ${moved} where email = ${account.user.email}`;
    await askForDeletion(account, []);
    expect(linkTo(server, moved)).toContain("token=");
  });
});
