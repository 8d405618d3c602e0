import { openTokenList } from "../container/tokenList.ts";
import { ApiError } from "../errors.ts";
import { endpoint } from "../http/endpoint.ts";
import { readChanges } from "./dao.ts";
import { ContainerChangesList, ContainerChangesRequest } from "./messages.ts";

const MIB = 1024 * 1024;
const PAGE_BYTES_DEFAULT = 4 * MIB;
const PAGE_BYTES_MAX = 32 * MIB;
/** Of the smallest rows, a page of the usual size could hold four times as many. */
const PAGE_ROWS_MAX = 10_000;

export const syncRoutes = [
  endpoint(
    {
      method: "POST",
      path: "/api/container/changes",
      summary: "Reads what is new in containers since the cursors of earlier answers, in pages.",
      limit: "read",
      tokens: { user: true },
      request: ContainerChangesRequest,
      response: ContainerChangesList,
      errors: ["INCORRECTLY_FORMED", "CONTAINER_DOES_NOT_EXIST", "TOO_MANY_REQUESTED"],
    },
    async ({ services, body }) => {
      const texts = body.containers.map(({ token }) => token);
      const tokens = await openTokenList(services, texts, false);
      const bytesMax = pageBytes(body.max_bytes);
      const cursors = tokens.map(({ key_id, container_id }, index) => {
        return { key_id, container_id, since: body.containers[index]?.since ?? 0n };
      });
      return { changes: await readChanges(services.db, cursors, { bytesMax, rowsMax: PAGE_ROWS_MAX }) };
    },
  ),
];

/** @throws ApiError INCORRECTLY_FORMED */
function pageBytes(max_bytes = PAGE_BYTES_DEFAULT): number {
  if (max_bytes < 1 || max_bytes > PAGE_BYTES_MAX) {
    throw new ApiError("INCORRECTLY_FORMED", `max_bytes must be from 1 to ${PAGE_BYTES_MAX}.`);
  }
  return max_bytes;
}
