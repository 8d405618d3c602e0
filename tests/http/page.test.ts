/** What holds for every page (decisions A11, P12; new-messages.md "Pages"). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { routes } from "../../src/app.ts";
import { escapeHtml, html } from "../../src/html.ts";
import type { Endpoint } from "../../src/http/endpoint.ts";
import { addressLine, paragraph, tokenForm } from "../../src/http/page.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { createTestDatabase } from "../support/database.ts";
import { startDatabaseProxy } from "../support/databaseProxy.ts";
import { ask, type Seen } from "../support/pages.ts";
import { goodRequest, nameOf, type Stage, setStage } from "../support/routeCases.ts";
import { startTestServer } from "../support/server.ts";
import { listen, sendRaw } from "../support/socket.ts";

const PAGES = routes.filter(({ spec }) => spec.answers === "page").map((route) => ({ name: nameOf(route), route }));
const LINKS = PAGES.filter(({ route }) => route.spec.method === "GET");
const FORMS = PAGES.filter(({ route }) => route.spec.method === "POST");

let stage: Stage;
beforeAll(async () => {
  stage = await setStage(await startTestServer());
});
afterAll(() => stage.server.stop());

/** What one sees who follows a good link, or presses the button behind it. */
async function visit(route: Endpoint, headers: Record<string, string> = {}, on: Stage = stage): Promise<Seen> {
  const { url, ...init } = await goodRequest(stage, route, "protobuf");
  return ask(on.server, new Request(url, { ...init, headers: { ...init.headers, ...headers } }));
}

function expectSafe({ headers, html }: Seen): void {
  const styles = [...html.matchAll(/<style[^>]*>([^<]*)<\/style>/g)].map(([, text = ""]) => text);
  expect(styles).toHaveLength(1);
  const hash = createHash("sha256")
    .update(styles[0] ?? "")
    .digest("base64");
  expect(Object.fromEntries(headers)).toMatchObject({
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": `default-src 'none'; style-src 'sha256-${hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
  });
  expect(headers.getSetCookie()).toEqual([]);
  // Nothing that runs or is loaded, and no style beside the one that the policy allows.
  expect(html).not.toMatch(
    /<(?:script|img|link|iframe|object|embed|base|svg)\b|\s(?:on\w+|src|style|href)=|url\(|@import/i,
  );
  expect(html).toStartWith('<!doctype html>\n<html lang="en">\n');
  expect(html).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">');
  expect(html).toContain('<meta name="color-scheme" content="light dark">');
  expect(html.match(/<h1>/g)).toHaveLength(1);
}

describe("values in HTML (S18)", () => {
  const HOSTILE = `</p><script>alert("1")</script>'&lt;\u2028`;

  test("S18: text is escaped, HTML is not escaped twice", () => {
    const once = "&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#x27;&amp;lt;\u2028";
    expect(escapeHtml(HOSTILE)).toBe(once);
    expect(html`<p>${HOSTILE}</p>`.text).toBe(`<p>${once}</p>`);
    expect(html`<div>${[html`<p>${HOSTILE}</p>`, paragraph("a")]}</div>`.text).toBe(
      `<div><p>${once}</p>\n<p>a</p></div>`,
    );
  });

  test("S18: every building block of a page escapes what it is given", () => {
    const form = tokenForm(`"><b>`, `<b>`);
    for (const { text } of [paragraph(HOSTILE), addressLine(HOSTILE), form]) expect(text).not.toMatch(/<(?:b|script)>/);
    expect(form.text).toContain('value="&quot;&gt;&lt;b&gt;"');
  });
});

describe.each(PAGES)("$name", ({ route }) => {
  test("A11, P12: it is a whole page with a strict policy, without script or anything from elsewhere", async () => {
    expectSafe(await visit(route));
  });

  test("A11: cookies are not looked at: a browser that is signed in needs no CSRF token, from wherever it comes", async () => {
    const from = {
      cookie: "x-access-token=a; x-refresh-token=b; x-csrf-token=c; x-container-access-token=d",
      origin: "null",
      "sec-fetch-site": "cross-site",
    };
    expect((await visit(route, from)).status).not.toBe(403);

    // Every other request of this browser is refused.
    for (const method of ["PATCH", "DELETE"]) {
      const request = new Request(`http://localhost${route.spec.path}`, { method, headers: from });
      expect((await stage.server.app.handle(request)).status).toBe(403);
    }
  });

  test("W11: over the limit it is a page with 429, Retry-After and the limit's headers; nothing else was looked at", async () => {
    const limited = await startTestServer(
      { ENTRIES_LIGHT_AUTH_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1" },
      stage.server.database,
    );
    const socket = listen(limited);
    const { method, path } = route.spec;
    await sendRaw(socket.port, `${method} ${path}`, []);
    const refused = await sendRaw(socket.port, `${method} ${path}`, ["accept: application/json"]);

    expect(refused.status).toBe(429);
    expect(refused.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    expect(refused.headers.get("ratelimit")).toMatch(/^"light-auth";r=0;t=\d+$/);
    const page = refused.body.toString();
    expectSafe({ status: 429, headers: new Headers([...refused.headers]), html: page, title: undefined });
    expect(page).toContain("<h1>Too many requests</h1>");
    expect(page).toMatch(/Please wait (?:1 second|\d+ seconds), then/);
    await socket.stop();
    await limited.stop();
  });

  test("what nobody foresaw is a page with 500, its cause is only in the log", async () => {
    const { services, logLines } = stage.server;
    const { tokens } = services;
    services.tokens = {
      ...tokens,
      verify() {
        throw new RangeError("the cause of it all");
      },
    };
    const seen = await visit(route).finally(() => {
      services.tokens = tokens;
    });
    expect(seen.status).toBe(500);
    expectSafe(seen);
    expect(seen.html).toContain("try again in a few hours");
    expect(seen.html).not.toContain("cause");
    services.log.flush();
    expect(logLines.join("")).toContain("the cause of it all");
  });

  test("P9: the link's token is not in the log", async () => {
    const { url, body } = await goodRequest(stage, route, "protobuf");
    const text = new URLSearchParams(body ? Buffer.from(body).toString() : new URL(url).search).get("token") ?? "";
    const request = new Request(url, { method: route.spec.method, ...(body && { body }) });
    await ask(stage.server, request);
    stage.server.services.log.flush();
    expect(text.length).toBeGreaterThan(100);
    expect(stage.server.logLines.join("")).not.toContain(text.slice(0, 60));
  });
});

test("W11: without its database a page is 503 with Retry-After, and works again afterwards", async () => {
  const proxy = await startDatabaseProxy(await createTestDatabase());
  const server = await startTestServer({}, proxy.database);
  await proxy.goAway();
  for (const { route, name } of PAGES) {
    const seen = await visit(route, {}, { ...stage, server });
    expect({ name, status: seen.status, title: seen.title }).toEqual({
      name,
      status: 503,
      title: "Not possible right now",
    });
    expect(seen.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    expectSafe(seen);
  }
  await proxy.comeBack();
  await server.stop();
  await proxy.stop();
});

describe.each(LINKS)("$name, its link", ({ route }) => {
  const at = (query: string) => ask(stage.server, new Request(`http://localhost${route.spec.path}${query}`));

  test("S15: scanners that open it again and again change nothing", async () => {
    await expectUnchanged(stage.server.db, async () => {
      for (let opened = 0; opened < 5; opened++) await visit(route);
    });
  });

  test("8.10: without a token, with an empty, an unreadable or a second one it is not valid: 400", async () => {
    const { url } = await goodRequest(stage, route, "protobuf");
    const { search } = new URL(url);
    const spoilt = [
      "",
      "?",
      "?token",
      "?token=",
      "?token=garbage",
      "?xtoken=a",
      "?token=%",
      "?token=%ff%00",
      "?x&&=&#",
    ];
    for (const query of [
      ...spoilt,
      `${search}&token=`,
      `?token=&${search.slice(1)}`,
      `${search}A`,
      search.slice(0, -9),
    ]) {
      const { status, title } = await at(query);
      expect({ query, status, title }).toEqual({ query, status: 400, title: "This link is not valid" });
    }
  });

  test("C20: the token may be percent-encoded or raw, alone or among other parameters", async () => {
    const { url } = await goodRequest(stage, route, "protobuf");
    const token = new URL(url).searchParams.get("token") ?? "";
    const expected = await at(new URL(url).search);
    expect(expected.title).not.toBe("This link is not valid");
    for (const query of [`?token=${token}`, `?a=b&token=${encodeURIComponent(token)}&utm_source=mail`]) {
      expect((await at(query)).html).toBe(expected.html);
    }
  });
});

describe.each(FORMS)("$name, its form", ({ route }) => {
  test("its Content-Type may have parameters and any letter case", async () => {
    for (const type of ["application/x-www-form-urlencoded; charset=UTF-8", "Application/X-WWW-Form-URLencoded"]) {
      expect((await visit(route, { "content-type": type })).title).not.toBe("This did not work");
    }
  });

  test("new-messages.md: the token of the link counts for nothing here", async () => {
    const { url, body, ...init } = await goodRequest(stage, route, "protobuf");
    const inLink = `${url}?${Buffer.from(body ?? "").toString()}`;
    const seen = await ask(stage.server, new Request(inLink, { ...init, body: "a=b" }));
    expect({ status: seen.status, title: seen.title }).toEqual({ status: 400, title: "This did not work" });
    expect(seen.html).toContain("The form must have the field token, exactly once.");
  });
});
