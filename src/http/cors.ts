/**
 * Web apps of other origins (decision P7; Fetch standard, "CORS protocol"): what an answer tells the browser, so that
 * the page of an allowed origin may send our headers and read what comes back. Of other origins it says nothing, and the
 * browser keeps the answer from the page.
 *
 * `Origin` alone decides. The reference also wanted `x-client-is-browser`, which an EventSource cannot send.
 */

/** What carries a token, and the CSRF token: allowed in requests, exposed in answers (decision P7). */
const TOKEN_HEADERS = [
  "x-csrf-token",
  "x-access-token",
  "x-refresh-token",
  "x-signin-token",
  "x-container-access-token",
  "x-container-accept-token",
  "x-container-invite-sender-token",
];

/** Every header that this server reads and that a browser does not let through by itself. */
const REQUEST_HEADERS = ["content-type", "x-client-is-browser", ...TOKEN_HEADERS, "appversion", "authorization"];

/** What a page may read besides the usual headers. */
const ANSWER_HEADERS = ["retry-after", "ratelimit", "ratelimit-policy", "x-request-id", "allow", ...TOKEN_HEADERS];

const PREFLIGHT_HEADERS = Object.entries({
  "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS",
  "access-control-allow-headers": REQUEST_HEADERS.join(", "),
  "access-control-max-age": "86400",
});
const EXPOSED = ANSWER_HEADERS.join(", ");

/**
 * Completes an answer, whatever it says: a page must be able to read refusals, too. What a preflight is told goes along
 * with the answer to every OPTIONS.
 *
 * @param allowedOrigins like `https://app.example.org`, compared as they are; without any, CORS is off
 */
export function addCorsHeaders(answer: Headers, request: Request, allowedOrigins: readonly string[]): void {
  if (allowedOrigins.length === 0) return;
  answer.append("vary", "Origin");
  const origin = request.headers.get("origin");
  if (origin === null || !allowedOrigins.includes(origin)) return;
  answer.set("access-control-allow-origin", origin);
  answer.set("access-control-allow-credentials", "true");
  if (request.method === "OPTIONS") for (const [name, value] of PREFLIGHT_HEADERS) answer.set(name, value);
  else answer.set("access-control-expose-headers", EXPOSED);
}
