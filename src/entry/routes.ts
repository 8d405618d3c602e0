import { endpoint } from "../http/endpoint.ts";
import { requireSizes, smallObjectBytesMax } from "../http/sizes.ts";
import { nowMicros } from "../services.ts";
import { createEntry, createEntryAndCategory, replaceEntry, softDeleteEntry } from "./dao.ts";
import {
  EncryptedBlobAndCategoryId,
  EntryAndCategory,
  EntryId,
  EntryIdAndCategoryId,
  EntryUpdate,
} from "./messages.ts";

export const entryRoutes = [
  endpoint(
    {
      method: "POST",
      path: "/api/container/entry",
      summary: "Adds an entry, in a category of the container or in none.",
      limit: "create",
      tokens: { user: true, container: "write" },
      request: EncryptedBlobAndCategoryId,
      response: EntryId,
      status: 201,
      errors: ["INPUT_TOO_LARGE", "FOREIGN_KEY_DOES_NOT_EXIST", "TOO_MANY_REQUESTED"],
    },
    async ({ services, body, proofs }) => {
      const { config, db } = services;
      requireSizes([["encrypted_blob", body.encrypted_blob, smallObjectBytesMax(config)]]);
      const entry_id = Bun.randomUUIDv7();
      const modified_timestamp = nowMicros(services);
      const entries_max = config.entriesPerContainerMax;
      await createEntry(db, proofs.container, { ...body, entry_id, modified_timestamp, entries_max });
      return { value: entry_id };
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/container/entry",
      summary:
        "Replaces an entry if the caller has seen its newest version. Without category_id it loses its category.",
      limit: "modify",
      tokens: { user: true, container: "write" },
      request: EntryUpdate,
      errors: [
        "INPUT_TOO_LARGE",
        "ENTRY_DOES_NOT_EXIST",
        "FOREIGN_KEY_DOES_NOT_EXIST",
        "OUT_OF_DATE",
        "TOO_MANY_REQUESTED",
      ],
    },
    async ({ services: { config, db }, body, proofs }) => {
      requireSizes([["encrypted_blob", body.encrypted_blob, smallObjectBytesMax(config)]]);
      await replaceEntry(db, proofs.container, { ...body, entries_max: config.entriesPerContainerMax });
    },
  ),

  endpoint(
    {
      method: "DELETE",
      path: "/api/container/entry",
      summary: "Makes an entry a tombstone. Also answers 200 when there is none to delete.",
      limit: "modify",
      tokens: { user: true, container: "write" },
      request: EntryId,
    },
    async ({ services, body, proofs }) => {
      await softDeleteEntry(services.db, proofs.container, body.value);
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/container/entry-and-category",
      summary: "Adds a category and an entry in it.",
      limit: "create",
      tokens: { user: true, container: "write" },
      request: EntryAndCategory,
      response: EntryIdAndCategoryId,
      status: 201,
      errors: ["INPUT_TOO_LARGE", "TOO_MANY_REQUESTED"],
    },
    async ({ services, body, proofs }) => {
      const { config, db } = services;
      requireSizes([
        ["entry_encrypted_blob", body.entry_encrypted_blob, smallObjectBytesMax(config)],
        ["category_encrypted_blob", body.category_encrypted_blob, smallObjectBytesMax(config)],
      ]);
      const ids = { category_id: Bun.randomUUIDv7(), entry_id: Bun.randomUUIDv7() };
      await createEntryAndCategory(db, proofs.container, {
        ...body,
        ...ids,
        modified_timestamp: nowMicros(services),
        entries_max: config.entriesPerContainerMax,
        categories_max: config.categoriesPerContainerMax,
      });
      return ids;
    },
  ),
];
