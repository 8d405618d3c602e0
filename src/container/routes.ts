import { incorrectContainerToken } from "../crypto/containerTokens.ts";
import { isStrictPublicKey } from "../crypto/ed25519.ts";
import { tooManyRows } from "../db/containerChange.ts";
import { ApiError } from "../errors.ts";
import { endpoint } from "../http/endpoint.ts";
import { containerBodyBytesMax, encryptionKeyBytesMax, requireSizes, smallObjectBytesMax } from "../http/sizes.ts";
import { nowMicros, type Services } from "../services.ts";
import { createContainer, fetchContainers, replaceContainer } from "./dao.ts";
import {
  ContainerAccessTokenList,
  ContainerFrame,
  ContainerList,
  EncryptedBlobUpdate,
  NewContainer,
} from "./messages.ts";

export const containerRoutes = [
  endpoint(
    {
      method: "GET",
      path: "/api/container",
      summary: "Reads whole containers. The container tokens come in the header, repeated or separated by commas.",
      limit: "read",
      tokens: { user: true },
      response: ContainerList,
    },
    async ({ services, request }) => {
      refuseAnnouncedBody(request);
      const header = request.headers.get("x-container-access-token") ?? "";
      const texts = header
        .split(",")
        .map((text) => text.trim())
        .filter((text) => text !== "");
      if (texts.length === 0) {
        throw new ApiError("TOKEN_MISSING", "The token x-container-access-token is missing.");
      }
      return readContainers(services, texts, incorrectContainerToken);
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/container/query",
      summary: "Reads whole containers, with the container tokens in the body.",
      limit: "read",
      tokens: { user: true },
      request: ContainerAccessTokenList,
      response: ContainerList,
    },
    async ({ services, body }) => readContainers(services, body.tokens, unreadableTokenInList),
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/container",
      summary: "Makes a container with its first access key and its categories.",
      limit: "create",
      tokens: { user: true },
      request: NewContainer,
      response: ContainerFrame,
      status: 201,
      bodyBytesMax: containerBodyBytesMax,
    },
    async ({ services, body }) => {
      requireWellFormed(body, services);
      const id = Bun.randomUUIDv7();
      const access_key_id = crypto.randomUUID();
      const category_ids = body.categories.map(({ temp_id }) => ({ temp_id, real_id: Bun.randomUUIDv7() }));
      const modified_timestamp = nowMicros(services);
      await createContainer(services.db, {
        container_id: id,
        key_id: access_key_id,
        encrypted_blob: body.encrypted_blob,
        version_nonce: body.version_nonce,
        modified_timestamp,
        public_key: body.user_public_container_key,
        category_ids: category_ids.map(({ real_id }) => real_id),
        category_blobs: body.categories.map(({ encrypted_blob }) => encrypted_blob),
        category_nonces: body.categories.map(({ version_nonce }) => version_nonce),
      });
      return { access_key_id, id, category_ids, modified_timestamp };
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/container",
      summary: "Replaces a container's own blob if the caller has seen its newest version.",
      limit: "modify",
      tokens: { user: true, container: "write" },
      request: EncryptedBlobUpdate,
    },
    async ({ services: { config, db }, body, proofs }) => {
      requireSizes([["encrypted_blob", body.encrypted_blob, smallObjectBytesMax(config)]]);
      await replaceContainer(db, proofs.container, body);
    },
  ),
];

/** The runtime throws the body of a GET away: answering as if it were empty would look like lost data (decision W2). */
function refuseAnnouncedBody({ headers }: Request): void {
  const isAnnounced = Number(headers.get("content-length") ?? 0) > 0 || headers.has("transfer-encoding");
  if (!isAnnounced) return;
  throw new ApiError(
    "PREHANDLER",
    "The body of a GET is not read. Send the tokens to POST /api/container/query, or in x-container-access-token.",
  );
}

function unreadableTokenInList(): ApiError {
  return new ApiError("INCORRECTLY_FORMED", "The list holds a token that cannot be read.");
}

/** Checks in the order of new-messages.md: count, decoding, known pairs, signatures and expiry. */
async function readContainers({ config, access, db }: Services, texts: readonly string[], unreadable: () => ApiError) {
  const countMax = config.containerFetchCountMax;
  if (texts.length > countMax) {
    throw new ApiError("TOO_MANY_REQUESTED", `At most ${countMax} containers can be read at once.`);
  }
  const tokens = texts.map((text) => {
    const token = access.decodeContainerToken(text);
    if (!token) throw unreadable();
    return token;
  });
  return { containers: await fetchContainers(db, await access.verifyContainerTokens(tokens)) };
}

/** @throws ApiError INPUT_TOO_LARGE, INCORRECTLY_FORMED, INVALID_STATE, TOO_MANY_REQUESTED */
function requireWellFormed(container: NewContainer, { config }: Services): void {
  const { encrypted_blob, user_public_container_key, categories } = container;
  const blobBytesMax = smallObjectBytesMax(config);
  requireSizes([
    ["encrypted_blob", encrypted_blob, blobBytesMax],
    ["user_public_container_key", user_public_container_key, encryptionKeyBytesMax(config)],
  ]);
  for (const category of categories)
    requireSizes([["categories.encrypted_blob", category.encrypted_blob, blobBytesMax]]);
  if (!isStrictPublicKey(user_public_container_key)) {
    throw new ApiError("INCORRECTLY_FORMED", "user_public_container_key is not a valid Ed25519 public key.");
  }
  if (new Set(categories.map(({ temp_id }) => temp_id)).size < categories.length) {
    throw new ApiError("INVALID_STATE", "Two categories have the same temp_id.");
  }
  if (categories.length > config.categoriesPerContainerMax) {
    throw tooManyRows("categories", config.categoriesPerContainerMax);
  }
}
