import { endpoint } from "../http/endpoint.ts";
import { containerBodyBytesMax, requireSizes, smallObjectBytesMax } from "../http/sizes.ts";
import { nowMicros, type Services } from "../services.ts";
import { uploadRoutes } from "./bulkUpload.ts";
import { createContainer, fetchContainers, replaceContainer } from "./dao.ts";
import { memberRoutes } from "./members.ts";
import {
  ContainerAccessTokenList,
  ContainerFrame,
  ContainerList,
  EncryptedBlobUpdate,
  NewContainer,
} from "./messages.ts";
import { rekeyRoutes } from "./rekey.ts";
import { openTokenList, TOKEN_LIST_HEADER, tokensInHeader } from "./tokenList.ts";
import { requireWellFormed } from "./uploadForm.ts";

export const containerRoutes = [
  endpoint(
    {
      method: "GET",
      path: "/api/container",
      summary: "Reads whole containers. The container tokens come in the header, repeated or separated by commas.",
      limit: "read",
      tokens: { user: true },
      response: ContainerList,
      headers: TOKEN_LIST_HEADER,
      errors: [400, "CONTAINER_DOES_NOT_EXIST", "TOO_MANY_REQUESTED"],
    },
    async ({ services, request }) => readContainers(services, tokensInHeader(request), true),
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
      errors: ["INCORRECTLY_FORMED", "CONTAINER_DOES_NOT_EXIST", "TOO_MANY_REQUESTED"],
    },
    async ({ services, body }) => readContainers(services, body.tokens, false),
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
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "INVALID_STATE", "TOO_MANY_REQUESTED"],
    },
    async ({ services, body }) => {
      requireWellFormed(body, services.config);
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
      errors: ["INPUT_TOO_LARGE", "OUT_OF_DATE"],
    },
    async ({ services: { config, db }, body, proofs }) => {
      requireSizes([["encrypted_blob", body.encrypted_blob, smallObjectBytesMax(config)]]);
      await replaceContainer(db, proofs.container, body);
    },
  ),

  ...uploadRoutes,
  ...memberRoutes,
  ...rekeyRoutes,
];

async function readContainers(services: Services, texts: readonly string[], isInHeader: boolean) {
  const tokens = await openTokenList(services, texts, isInHeader);
  return { containers: await fetchContainers(services.db, tokens, services.bounds.largeReads) };
}
