/** Pages as their HTML, without a browser. */
import { expect } from "bun:test";
import type { TestServer } from "./server.ts";

export interface Seen {
  status: number;
  headers: Headers;
  html: string;
  /** The heading. */
  title: string | undefined;
}

/** What one sees who opens a link; its host does not matter. */
export function openPage(server: TestServer, link: string): Promise<Seen> {
  const { pathname, search } = new URL(link, "http://localhost");
  return ask(server, new Request(`http://localhost${pathname}${search}`));
}

/** What one sees who presses the button of a page: its form is sent as a browser would send it. */
export function postForm(
  server: TestServer,
  path: string,
  form: string | Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Seen> {
  const body = typeof form === "string" ? form : new URLSearchParams(form).toString();
  return ask(
    server,
    new Request(`http://localhost${path}`, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
      body,
    }),
  );
}

/** Reads an answer that must be a whole page, made as pages are. */
export async function ask({ app }: TestServer, request: Request): Promise<Seen> {
  const response = await app.handle(request);
  const html = await response.text();
  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(html).toStartWith("<!doctype html>\n");
  expect(html).toEndWith("</html>\n");
  const title = /<h1>([^<]*)<\/h1>/.exec(html)?.[1];
  return { status: response.status, headers: response.headers, html, title };
}
