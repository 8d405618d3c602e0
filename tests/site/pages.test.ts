/** The front page, the page of the API's description, and what they are made of (issue 6), without a browser. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { frontHtml } from "../../src/site/frontPage.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

async function get(path: string) {
  const answer = await server.app.handle(new Request(`http://localhost${path}`));
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

/** What a page links to or loads, as paths of this server. */
function targetsOf(html: string, path: string): string[] {
  const attributes = [...html.matchAll(/\s(?:href|src|data-description)="([^"]*)"/g)].map(([, target = ""]) => target);
  for (const target of attributes) expect(target).not.toMatch(/^(?:[a-z]+:|\/)/i);
  return attributes.map((target) => new URL(target, `http://localhost${path}`).pathname);
}

const policyOf = (headers: Headers) =>
  new Map(
    (headers.get("content-security-policy") ?? "").split("; ").map((directive): [string, string] => {
      const [name = "", ...sources] = directive.split(" ");
      return [name, sources.join(" ")];
    }),
  );

describe("the front page", () => {
  test("says what this server is, that it holds only ciphertext, its version, and where the documents are", async () => {
    const { status, headers, text } = await get("/");
    expect([status, headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(text).toStartWith('<!doctype html>\n<html lang="en">\n');
    expect(text).toContain("<h1>entries-server</h1>");
    expect(text).toContain("Only ciphertext");
    expect(text).toContain(`Version ${version}<`);
    const targets = targetsOf(text, "/");
    for (const path of ["/docs", "/openapi.json", "/schema.proto"]) expect(targets).toContain(path);
    for (const path of targets) expect([path, (await get(path)).status]).toEqual([path, 200]);
  });

  test("P12: its policy allows its one style and its picture, nothing else", async () => {
    const { headers, text } = await get("/");
    const styles = [...text.matchAll(/<style[^>]*>([^<]*)<\/style>/g)].map(([, style = ""]) => style);
    expect(styles).toHaveLength(1);
    const hash = createHash("sha256")
      .update(styles[0] ?? "")
      .digest("base64");
    expect(Object.fromEntries(policyOf(headers))).toEqual({
      "default-src": "'none'",
      "style-src": `'sha256-${hash}'`,
      "img-src": "'self'",
      "form-action": "'none'",
      "frame-ancestors": "'none'",
      "base-uri": "'none'",
    });
    expect(text).not.toMatch(/<script|\son\w+=|\sstyle=|url\(|@import|https?:/i);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.getSetCookie()).toEqual([]);
  });

  test("S18: a version that is HTML stands there as it is", () => {
    const html = frontHtml(`1.0.0-<script>alert("1")</script>`);
    expect(html).not.toContain("<script");
    expect(html).toContain("Version 1.0.0-&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;<");
  });

  test("is small", async () => {
    expect((await get("/")).text.length).toBeLessThan(8_000);
  });
});

describe("the page of the description", () => {
  test("everything that it loads is this server's, with the right type", async () => {
    const { status, headers, text } = await get("/docs");
    expect([status, headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(text).not.toMatch(/https?:/);
    const types: Record<string, string> = {
      js: "text/javascript; charset=utf-8",
      css: "text/css; charset=utf-8",
      svg: "image/svg+xml",
      json: "application/json",
    };
    const loaded = targetsOf(text, "/docs").filter((path) => path !== "/");
    expect(loaded.length).toBeGreaterThanOrEqual(6);
    for (const path of loaded) {
      const answer = await get(path);
      const type = types[path.split(".").at(-1) ?? ""];
      expect([path, answer.status, answer.headers.get("content-type")]).toEqual([path, 200, type ?? ""]);
    }
  });

  test("P12: its policy: scripts, styles and calls of this server only, nothing inline", async () => {
    const { headers, text } = await get("/docs");
    expect(Object.fromEntries(policyOf(headers))).toEqual({
      "default-src": "'none'",
      "script-src": "'self'",
      "style-src": "'self'",
      "img-src": "'self' data:",
      "connect-src": "'self'",
      "form-action": "'none'",
      "frame-ancestors": "'none'",
      "base-uri": "'none'",
    });
    expect(text).not.toMatch(/<style|\sstyle=|\son\w+=|<script(?! src=)/i);
  });

  test("the library is served byte by byte as its package has it", async () => {
    const folder = join(import.meta.dir, "../../node_modules/swagger-ui-dist");
    for (const name of ["swagger-ui-bundle.js", "swagger-ui.css"]) {
      expect((await get(`/docs/${name}`)).text).toBe(readFileSync(join(folder, name), "utf8"));
    }
  });
});

test("the icon is a picture that may load nothing", async () => {
  const { headers, text } = await get("/favicon.svg");
  expect(headers.get("content-type")).toBe("image/svg+xml");
  expect(headers.get("content-security-policy")).toBe("default-src 'none'");
  expect(text).toStartWith("<svg ");
  expect(text).not.toMatch(/<script|href=|url\(/);
});
