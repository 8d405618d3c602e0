/** A client as a browser makes one: it keeps cookies by the rules of RFC 6265 and never sees tokens itself. */
import type { Encoding } from "../../src/wire/negotiation.ts";
import { Client, type Send } from "./client.ts";

export interface SetCookie {
  name: string;
  value: string;
  /** Attributes by lower-case name; those without a value are "". */
  attributes: ReadonlyMap<string, string>;
}

/** Every Set-Cookie header of an answer, taken apart. */
export function setCookiesOf(headers: Headers): SetCookie[] {
  return headers.getSetCookie().map((header) => {
    const [pair = "", ...rest] = header.split(";");
    const equals = pair.indexOf("=");
    const attributes = rest.map((attribute): [string, string] => {
      const [name = "", value = ""] = attribute.trim().split("=");
      return [name.toLowerCase(), value];
    });
    return { name: pair.slice(0, equals), value: pair.slice(equals + 1), attributes: new Map(attributes) };
  });
}

interface StoredCookie {
  name: string;
  value: string;
  path: string;
}

export class Browser {
  readonly client: Client;
  cookies: StoredCookie[] = [];
  /** What the page read from the answer of csrf-token; sent with every request. */
  csrfToken: string | undefined;

  constructor(
    readonly server: Send,
    encoding?: Encoding,
  ) {
    this.client = new Client((request) => this.#send(request), encoding);
  }

  /** GET csrf-token, as a page does first. */
  async fetchCsrfToken(): Promise<void> {
    const response = await this.#send(new Request("http://localhost/api/auth/csrf-token"));
    const body: unknown = await response.json();
    this.csrfToken = (body as { csrf_token: string }).csrf_token;
  }

  /** The cookies of a name, as `path` and value, the most specific path first. */
  named(name: string): StoredCookie[] {
    return this.cookies.filter((cookie) => cookie.name === name).sort((a, b) => b.path.length - a.path.length);
  }

  async #send(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const sent = this.cookies
      .filter(({ path }) => pathname === path || pathname.startsWith(`${path}/`))
      .sort((a, b) => b.path.length - a.path.length);
    if (sent.length > 0) request.headers.set("cookie", sent.map(({ name, value }) => `${name}=${value}`).join("; "));
    if (this.csrfToken !== undefined) request.headers.set("x-csrf-token", this.csrfToken);
    request.headers.set("x-client-is-browser", "true");
    const response = await this.server(request);
    for (const cookie of setCookiesOf(response.headers)) this.#store(cookie);
    return response;
  }

  #store({ name, value, attributes }: SetCookie): void {
    const path = attributes.get("path") ?? "/";
    this.cookies = this.cookies.filter((cookie) => cookie.name !== name || cookie.path !== path);
    if (attributes.get("max-age") !== "0") this.cookies.push({ name, value, path });
  }
}
