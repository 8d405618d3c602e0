import { ContainerAccessTokenList } from "../container/messages.ts";
import { openTokenList, TOKEN_LIST_HEADER, tokensInHeader } from "../container/tokenList.ts";
import { ApiError, overloaded } from "../errors.ts";
import type { PresentedToken } from "../http/access.ts";
import { endpoint } from "../http/endpoint.ts";
import type { Services } from "../services.ts";

const PATH = "/api/container/events";
const RETRY_AFTER_SECS = 60;
const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  // nginx would collect events until its buffer is full.
  "x-accel-buffering": "no",
};

const EVENTS = `
- \`event: change\` with \`data: {"container_id":"…","cursor":"123"}\`: once for each container when the stream opens, then
  after changes, of which several may be one event. \`POST /api/container/changes\` tells what changed.
- \`event: gone\` with \`data: {"container_id":"…"}\`: the key was removed or its token has expired; the stream goes on for
  the others.
- A comment every 25 seconds.

The stream ends with the access token, or when no container is left.
`.trim();

export const eventRoutes = [
  endpoint(
    {
      method: "GET",
      path: PATH,
      summary: "A stream of server-sent events that tells of changes in containers, named in the header.",
      limit: "read",
      tokens: { user: true },
      isStream: true,
      details: EVENTS,
      headers: TOKEN_LIST_HEADER,
      errors: [400, "CONTAINER_DOES_NOT_EXIST", "TOO_MANY_REQUESTED"],
    },
    async ({ services, request, proofs: { user } }) => openStream(services, user, tokensInHeader(request), true),
  ),

  endpoint(
    {
      method: "POST",
      path: PATH,
      summary: "The same, with the container tokens in the body.",
      limit: "read",
      tokens: { user: true },
      request: ContainerAccessTokenList,
      isStream: true,
      details: EVENTS,
      errors: ["INCORRECTLY_FORMED", "CONTAINER_DOES_NOT_EXIST", "TOO_MANY_REQUESTED"],
    },
    async ({ services, body, proofs: { user } }) => openStream(services, user, body.tokens, false),
  ),
];

/** @throws ApiError PREHANDLER 503, TOO_MANY_REQUESTED, and those of openTokenList */
async function openStream(
  services: Services,
  user: PresentedToken,
  texts: readonly string[],
  isInHeader: boolean,
): Promise<Response> {
  const { config, liveChanges } = services;
  const tokens = await openTokenList(services, texts, isInHeader);
  if (tokens.length === 0) throw new ApiError("TOKEN_MISSING", "A stream needs a container to tell of.");
  if (liveChanges.openCount() >= config.streamsMax) {
    throw overloaded("The server has as many streams as it can serve; try again later.", RETRY_AFTER_SECS);
  }
  if (liveChanges.openCount(user.user_id) >= config.streamsPerUserMax) {
    throw new ApiError("TOO_MANY_REQUESTED", `One account may have at most ${config.streamsPerUserMax} streams.`);
  }
  const keys = tokens.map(({ key_id, container_id, expirationSecs }) => ({
    key_id,
    container_id,
    expirationSecs: Number(expirationSecs),
  }));
  const stream = await liveChanges.open(user, keys);
  return new Response(stream.body, { headers: HEADERS });
}
