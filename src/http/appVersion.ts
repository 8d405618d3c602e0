/** Clients that are too old for this server (decision W12). */
import { ApiError } from "../errors.ts";

/** The core, a pre-release and build metadata (semver.org 2.0.0, rules 2, 9 and 10). */
const NUMBER = "(?:0|[1-9][0-9]{0,14})";
const PRE_RELEASE_PART = `(?:${NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`;
const SEMANTIC_VERSION = new RegExp(
  `^${NUMBER}\\.${NUMBER}\\.${NUMBER}(?:-${PRE_RELEASE_PART}(?:\\.${PRE_RELEASE_PART})*)?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$`,
);
const LENGTH_MAX = 100;

/** What every client may ask for, to find out where it stands, and a page for browsers. */
const FOR_EVERY_CLIENT = ["/api/heartbeat", "/api/health", "/api/auth/csrf-token", "/api/user/deletion/verify"];

/** Whether a route is only for clients that are current. What is outside `/api` is not for apps. */
export function asksForVersion(path: string): boolean {
  return path.startsWith("/api/") && !FOR_EVERY_CLIENT.includes(path);
}

/** Whether a text is a version like 1.10.0 or 2.0.0-beta.11, numbers of at most 15 digits and 100 characters in all. */
export function isSemanticVersion(text: string): boolean {
  return text.length <= LENGTH_MAX && SEMANTIC_VERSION.test(text);
}

/**
 * Refuses a client that says in its header `AppVersion` that it is older than `least`, by the order of semver.org's
 * rule 11. A client that says nothing counts as current: field clients may not send the header.
 *
 * @param path of the route
 * @param least a semantic version; undefined lets everybody in
 * @throws ApiError CLIENT_OUT_OF_DATE, INCORRECTLY_FORMED for a header that is no semantic version: to guess would let
 * in clients that are too old, or tell current ones to update for ever
 */
export function requireCurrentApp(request: Request, path: string, least: string | undefined): void {
  if (least === undefined) return;
  const version = request.headers.get("appversion");
  if (version === null || !asksForVersion(path)) return;
  if (!isSemanticVersion(version)) {
    throw new ApiError("INCORRECTLY_FORMED", "The header AppVersion must be a semantic version, like 1.10.0.");
  }
  if (Bun.semver.order(version, least) < 0) {
    throw new ApiError("CLIENT_OUT_OF_DATE", `This app is too old for the server, which needs version ${least} of it.`);
  }
}
