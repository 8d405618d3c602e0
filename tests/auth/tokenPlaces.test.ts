/** Where tokens are looked for, and where not (accounts.md 2.2 and 15). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { linkFor as addressLinkFor } from "../address/links.ts";
import { linkFor as deletionLinkFor } from "../deletion/steps.ts";
import { expectError } from "../support/containerCalls.ts";
import { openPage } from "../support/pages.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const at = (path: string, headers: Record<string, string> = {}) => server.client().call("GET", path, { headers });

describe("2.2: an access token", () => {
  test("counts in its header", async () => {
    const { accessToken } = await server.signUp();
    expect((await at("/api/user/deletion", { "x-access-token": accessToken })).status).toBe(200);
    // Names of headers have no letter case.
    expect((await at("/api/user/deletion", { "X-ACCESS-TOKEN": accessToken })).status).toBe(200);
  });

  test("does not count under another token's name, nor does another token under its name", async () => {
    const { accessToken, refreshToken } = await server.signUp();
    expectError(await at("/api/user/deletion", { "x-refresh-token": accessToken }), "TOKEN_MISSING");
    expectError(await at("/api/user/deletion", { authorization: `Bearer ${accessToken}` }), "TOKEN_MISSING");
    expectError(await at("/api/user/deletion", { "x-access-token": refreshToken }), "WRONG_TOKEN_TYPE");
  });

  test("is not seen in the query string, where proxies would log it", async () => {
    const { accessToken } = await server.signUp();
    const text = encodeURIComponent(accessToken);
    for (const name of ["x-access-token", "access_token", "token"]) {
      expectError(await at(`/api/user/deletion?${name}=${text}`), "TOKEN_MISSING");
    }
  });
});

describe("2.2: the token of a link", () => {
  test("is not seen in a header or a cookie", async () => {
    const account = await server.signUp();
    const links = [await deletionLinkFor(server, account), (await addressLinkFor(server, account)).href];
    for (const link of links) {
      const { pathname, searchParams } = new URL(link);
      const token = searchParams.get("token") ?? "";
      expect((await openPage(server, link)).status).toBe(200);
      const headers = {
        "x-user-deletion-token": token,
        token,
        cookie: `x-user-deletion-token=${token}; token=${token}`,
      };
      const response = await server.app.handle(new Request(`http://localhost${pathname}`, { headers }));
      expect(response.status).toBe(400);
      expect(await response.text()).toContain("<h1>This link is not valid</h1>");
    }
  });
});
