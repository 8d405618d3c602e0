import type { Config } from "../config.ts";
import { addCorsHeaders } from "./cors.ts";
import { limitHeaders, type Verdict } from "./limits.ts";

/** How long a browser asks this host by HTTPS only, in seconds: a year. */
const HTTPS_ONLY = "max-age=31536000";

/**
 * Adds what every answer carries, whatever it says: the request's id in the log, where its client stands with its limit
 * (W11), what keeps browsers from guessing, telling and storing (P12), and CORS (P7). An answer that may be stored says
 * so itself, by a `Cache-Control` of its own.
 *
 * @param verdict of the limiter; undefined when nothing was counted
 */
export function addAnswerHeaders(
  answer: Headers,
  request: Request,
  { config, requestId, verdict }: { config: Config; requestId: string; verdict: Verdict | undefined },
): void {
  answer.set("x-request-id", requestId);
  answer.set("x-content-type-options", "nosniff");
  answer.set("referrer-policy", "no-referrer");
  if (!answer.has("cache-control")) answer.set("cache-control", "no-store");
  if (config.tls !== undefined) answer.set("strict-transport-security", HTTPS_ONLY);
  if (verdict) for (const [name, value] of Object.entries(limitHeaders(verdict))) answer.set(name, value);
  addCorsHeaders(answer, request, config.corsAllowedOrigins);
}
