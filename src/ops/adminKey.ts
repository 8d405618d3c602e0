import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { ApiError } from "../errors.ts";

/** Of this process: whoever can time the comparison learns nothing from digests that change with each start. */
const SECRET = randomBytes(32);

/**
 * Opens a route to an operator. The key comes as `Authorization: Bearer …` or, as clients of the reference send it, in
 * the query's `key`, which is never logged; the header wins. Neither the length nor the content of the right key can be
 * told from the time that a wrong one takes.
 *
 * @param expected of the settings; without one, or with an empty one, no key is right
 * @throws ApiError INCORRECT_CREDENTIAL; PREHANDLER 400 when the query has several keys
 */
export function requireAdminKey(request: Request, query: URLSearchParams, expected: string | undefined): void {
  const [inQuery, ...more] = query.getAll("key");
  if (more.length > 0) throw new ApiError("PREHANDLER", "The query may have the parameter key only once.");
  const [, inHeader] = /^Bearer +(.*)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  const presented = inHeader ?? inQuery ?? "";
  const isRight = timingSafeEqual(digest(presented), digest(expected ?? ""));
  if (!isRight || presented === "") {
    throw new ApiError("INCORRECT_CREDENTIAL", "This needs the operator's key, as a Bearer token.");
  }
}

function digest(key: string): Buffer {
  return createHmac("sha256", SECRET).update(key).digest();
}
