/**
 * The cookies of browser clients: reading them, and the Set-Cookie headers of the four that this server hands out
 * (accounts.md 3.2, decision P7).
 */

/** The cookies of one request. */
export interface Cookies {
  /**
   * The values of all cookies of that name, in the order of the request: browsers send one per path, the most specific
   * first. Whoever needs one takes the first that is valid (decision P7).
   */
  all(name: string): readonly string[];
}

const NO_VALUES: readonly string[] = [];
const NO_COOKIES: Cookies = { all: () => NO_VALUES };

/**
 * Reads a Cookie header. A pair without "=" is skipped and hides no other. Values are percent-decoded where that is
 * possible, and taken as they are where not. Names are case-sensitive.
 */
export function parseCookies(header: string | null): Cookies {
  if (header === null || header === "") return NO_COOKIES;
  const values = new Map<string, string[]>();
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals === -1) continue;
    const name = pair.slice(0, equals).trim();
    const value = percentDecode(pair.slice(equals + 1).trim());
    const known = values.get(name);
    if (known) known.push(value);
    else values.set(name, [value]);
  }
  return { all: (name) => values.get(name) ?? NO_VALUES };
}

function percentDecode(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const CSRF_COOKIE = "x-csrf-token";
export const ACCESS_COOKIE = "x-access-token";
export const REFRESH_COOKIE = "x-refresh-token";
export const SIGN_IN_COOKIE = "x-signin-token";

/** The cookies that this server sets. */
export type CookieName = typeof CSRF_COOKIE | typeof ACCESS_COOKIE | typeof REFRESH_COOKIE | typeof SIGN_IN_COOKIE;

interface CookieKind {
  path: string;
  sameSite: "Lax" | "Strict";
  /** Where another version of the server set a cookie of this name; it goes whenever this one changes. */
  formerPath?: string;
}

const COOKIES: Record<CookieName, CookieKind> = {
  "x-csrf-token": { path: "/api", sameSite: "Lax" },
  "x-access-token": { path: "/api", sameSite: "Lax" },
  "x-signin-token": { path: "/api/auth/otp", sameSite: "Strict" },
  // The reference's path left out the logout, so no browser could log out.
  "x-refresh-token": { path: "/api/auth", sameSite: "Strict", formerPath: "/api/auth/token/refresh" },
};

/** How long a browser keeps the CSRF cookie, in seconds: a day. */
export const CSRF_COOKIE_LIFETIME_SECS = 86_400;
const YEAR_MS = 365 * 86_400_000;

/**
 * The Set-Cookie headers that store a token in the browser. The last one is the cookie itself; one before it removes a
 * cookie of that name that the reference may have set at another path.
 *
 * @param value the token, as it is
 * @param lifetimeSecs whole seconds
 */
export function setCookie(name: CookieName, value: string, lifetimeSecs: number): string[] {
  const { path, sameSite, formerPath } = COOKIES[name];
  const cookie = `${name}=${value}; Path=${path}; Max-Age=${lifetimeSecs}; HttpOnly; Secure; SameSite=${sameSite}`;
  return formerPath === undefined ? [cookie] : [removal(name, formerPath), cookie];
}

/** The Set-Cookie headers that remove a cookie from the browser, at every path where it may be. */
export function removeCookie(name: CookieName): string[] {
  const { path, formerPath } = COOKIES[name];
  return formerPath === undefined ? [removal(name, path)] : [removal(name, formerPath), removal(name, path)];
}

function removal(name: CookieName, path: string): string {
  const past = new Date(Date.now() - YEAR_MS).toUTCString();
  return `${name}=; Path=${path}; Max-Age=0; Expires=${past}; HttpOnly; Secure`;
}
