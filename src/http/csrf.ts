/**
 * Protection against requests that another site makes in a user's name (accounts.md 3.3, decision P7): a browser adds
 * cookies to them by itself, but it tells where they come from, and it lets no other site read or send our token.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { ApiError } from "../errors.ts";
import { ACCESS_COOKIE, CSRF_COOKIE, parseCookies, REFRESH_COOKIE, SIGN_IN_COOKIE } from "./cookies.ts";

/** Cookies that this server reads as proof of something: a request that carries one of them must prove its origin. */
const TRIGGERS = [
  CSRF_COOKIE,
  ACCESS_COOKIE,
  REFRESH_COOKIE,
  SIGN_IN_COOKIE,
  "x-container-access-token",
  "x-container-accept-token",
  "x-container-invite-sender-token",
];

const CSRF_TOKEN_BYTES = 32;

/**
 * Refuses a request that changes something and carries one of our cookies, unless it comes from this server's own site
 * or an allowed origin, and its header `x-csrf-token` equals its cookie `x-csrf-token`. Of several such cookies one
 * must be equal. Clients without cookies pass.
 *
 * @param own.allowedOrigins further origins, like `https://app.example.org`, compared as they are
 * @throws ApiError USER_DISALLOWED
 */
export function requireCsrf(request: Request, own: { allowedOrigins: readonly string[] }): void {
  const { method, headers } = request;
  if (method === "GET" || method === "HEAD" || method === "OPTIONS" || method === "TRACE") return;
  const cookieHeader = headers.get("cookie");
  if (cookieHeader === null) return;
  const cookies = parseCookies(cookieHeader);
  if (!TRIGGERS.some((name) => cookies.all(name).length > 0)) return;

  if (headers.get("sec-fetch-site") === "cross-site") throw fromElsewhere();
  const origin = headers.get("origin");
  if (origin !== null && !isOwnOrigin(origin, headers.get("host")) && !own.allowedOrigins.includes(origin)) {
    throw fromElsewhere();
  }
  const token = headers.get("x-csrf-token") ?? "";
  const isProven = cookies.all(CSRF_COOKIE).some((value) => value !== "" && isEqual(value, token));
  if (!isProven) {
    throw new ApiError("USER_DISALLOWED", "The header x-csrf-token must equal the cookie x-csrf-token.");
  }
}

/** A fresh token: 32 random bytes in padded standard base64, 44 characters. */
export function newCsrfToken(): string {
  return randomBytes(CSRF_TOKEN_BYTES).toString("base64");
}

const WEB_ORIGIN = /^https?:\/\/([^/]+)$/;

/** Hosts and ports are compared but not schemes: behind a TLS proxy this server is asked by http and shown as https. */
function isOwnOrigin(origin: string, host: string | null): boolean {
  const originHost = WEB_ORIGIN.exec(origin)?.[1];
  return originHost !== undefined && host !== null && withoutDefaultPort(originHost) === withoutDefaultPort(host);
}

/** Browsers leave the default port out, proxies may write it. */
function withoutDefaultPort(host: string): string {
  return host.toLowerCase().replace(/:(?:80|443)$/, "");
}

/** In constant time, except for the length. */
function isEqual(a: string, b: string): boolean {
  const aBytes = Buffer.from(a);
  const bBytes = Buffer.from(b);
  return aBytes.length === bBytes.length && timingSafeEqual(aBytes, bBytes);
}

function fromElsewhere(): ApiError {
  return new ApiError("USER_DISALLOWED", "A request with cookies must come from this site or an allowed origin.");
}
