import { NewEncryptedBlob } from "../container/messages.ts";
import { endpoint } from "../http/endpoint.ts";
import { requireSizes, smallObjectBytesMax } from "../http/sizes.ts";
import { nowMicros } from "../services.ts";
import { createCategory, replaceCategory, softDeleteCategory } from "./dao.ts";
import { CategoryId, CategoryUpdate } from "./messages.ts";

export const categoryRoutes = [
  endpoint(
    {
      method: "POST",
      path: "/api/container/category",
      summary: "Adds a category.",
      limit: "create",
      tokens: { user: true, container: "write" },
      request: NewEncryptedBlob,
      response: CategoryId,
      status: 201,
      errors: ["INPUT_TOO_LARGE", "TOO_MANY_REQUESTED"],
    },
    async ({ services, body, proofs }) => {
      const { config, db } = services;
      requireSizes([["value", body.value, smallObjectBytesMax(config)]]);
      const category_id = Bun.randomUUIDv7();
      await createCategory(db, proofs.container, {
        category_id,
        encrypted_blob: body.value,
        version_nonce: body.version_nonce,
        modified_timestamp: nowMicros(services),
        categories_max: config.categoriesPerContainerMax,
      });
      return { value: category_id };
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/container/category",
      summary: "Replaces a category if the caller has seen its newest version.",
      limit: "modify",
      tokens: { user: true, container: "write" },
      request: CategoryUpdate,
      errors: ["INPUT_TOO_LARGE", "CATEGORY_DOES_NOT_EXIST", "OUT_OF_DATE", "TOO_MANY_REQUESTED"],
    },
    async ({ services: { config, db }, body, proofs }) => {
      requireSizes([["encrypted_blob", body.encrypted_blob, smallObjectBytesMax(config)]]);
      await replaceCategory(db, proofs.container, { ...body, categories_max: config.categoriesPerContainerMax });
    },
  ),

  endpoint(
    {
      method: "DELETE",
      path: "/api/container/category",
      summary: "Makes a category a tombstone and takes it from the entries. Also 200 when there is none to delete.",
      limit: "modify",
      tokens: { user: true, container: "write" },
      request: CategoryId,
    },
    async ({ services, body, proofs }) => {
      await softDeleteCategory(services.db, proofs.container, body.value);
    },
  ),
];
