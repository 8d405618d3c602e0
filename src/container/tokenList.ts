/** Lists of container tokens, as reading routes take them: in the header of a GET or in a body. */
import { type ContainerToken, incorrectContainerToken } from "../crypto/containerTokens.ts";
import { ApiError } from "../errors.ts";
import type { Services } from "../services.ts";

/** How routes describe the header below. */
export const TOKEN_LIST_HEADER = {
  "x-container-access-token": {
    description: "Container access tokens, separated by commas; the header may also be repeated. Cookies do not count.",
    isRequired: true,
  },
} as const;

/**
 * The tokens of a GET: the header, repeated or separated by commas.
 *
 * @throws ApiError TOKEN_MISSING, and PREHANDLER when a body is announced
 */
export function tokensInHeader({ headers }: Request): string[] {
  refuseAnnouncedBody(headers);
  const texts = (headers.get("x-container-access-token") ?? "")
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "");
  if (texts.length === 0) throw new ApiError("TOKEN_MISSING", "The token x-container-access-token is missing.");
  return texts;
}

/** The runtime throws the body of a GET away: answering as if it were empty would look like lost data (decision W2). */
function refuseAnnouncedBody(headers: Headers): void {
  const isAnnounced = Number(headers.get("content-length") ?? 0) > 0 || headers.has("transfer-encoding");
  if (!isAnnounced) return;
  throw new ApiError(
    "PREHANDLER",
    "The body of a GET is not read. Send the tokens in x-container-access-token, or in the body of " +
      "POST /api/container/query or POST /api/container/events.",
  );
}

/**
 * Takes a list apart and verifies every token, in the order of new-messages.md: count, decoding, known pairs, signatures
 * and expiry.
 *
 * @param isInHeader an unreadable token is INCORRECT_CREDENTIAL there, INCORRECTLY_FORMED in a body
 * @returns the tokens, in the order of the list
 * @throws ApiError TOO_MANY_REQUESTED, INCORRECT_CREDENTIAL, INCORRECTLY_FORMED, CONTAINER_DOES_NOT_EXIST, TOKEN_EXPIRED
 */
export async function openTokenList(
  { config, access }: Services,
  texts: readonly string[],
  isInHeader: boolean,
): Promise<ContainerToken[]> {
  const countMax = config.containerFetchCountMax;
  if (texts.length > countMax) {
    throw new ApiError("TOO_MANY_REQUESTED", `At most ${countMax} containers can be read at once.`);
  }
  const tokens = texts.map((text) => {
    const token = access.decodeContainerToken(text);
    if (!token) throw isInHeader ? incorrectContainerToken() : unreadableTokenInList();
    return token;
  });
  await access.verifyContainerTokens(tokens);
  return tokens;
}

function unreadableTokenInList(): ApiError {
  return new ApiError("INCORRECTLY_FORMED", "The list holds a token that cannot be read.");
}
