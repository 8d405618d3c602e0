import { ApiError } from "../errors.ts";
import type { Cookies } from "./cookies.ts";

/** Cookies of one name that are looked at: each may cost a query, and a browser has one for each path and domain. */
const COOKIES_MAX = 8;

/**
 * Where a token stands: in the header, else in the cookies of the same name. A header beats a cookie even when it is
 * empty; one that is not visible ASCII counts as absent.
 *
 * @returns the texts of the one header or of the first 8 such cookies, at least one
 * @throws ApiError TOKEN_MISSING
 */
export function findToken(
  name: string,
  request: Request,
  cookies: Cookies,
): { texts: readonly string[]; isFromCookie: boolean } {
  const header = request.headers.get(name);
  if (header !== null && /^[\x20-\x7e]*$/.test(header)) {
    const [first = ""] = header.split(", "); // the runtime joins repeated headers
    return { texts: [first], isFromCookie: false };
  }
  const texts = cookies.all(name).slice(0, COOKIES_MAX);
  if (texts.length === 0) throw new ApiError("TOKEN_MISSING", `The token ${name} is missing.`);
  return { texts, isFromCookie: true };
}

/** The results of all items that do not throw, at least one; throws the first item's error when there is none. */
export function passing<In, Out>(items: readonly In[], attempt: (item: In) => Out): [Out, ...Out[]] {
  const results: Out[] = [];
  let firstError: unknown;
  for (const item of items) {
    try {
      results.push(attempt(item));
    } catch (error) {
      firstError ??= error;
    }
  }
  const [first, ...rest] = results;
  if (first === undefined) throw firstError;
  return [first, ...rest];
}
