/** What an uploaded container must be like, in the order of containers.md 4.2 and 4.4. */
import type { Config } from "../config.ts";
import { isStrictPublicKey } from "../crypto/ed25519.ts";
import { tooManyRows } from "../db/containerChange.ts";
import { ApiError } from "../errors.ts";
import { encryptionKeyBytesMax, requireSizes, smallObjectBytesMax } from "../http/sizes.ts";
import type { BulkUploadContainer, NewContainer } from "./messages.ts";

/** @throws ApiError TOO_MANY_REQUESTED, INPUT_TOO_LARGE, INCORRECTLY_FORMED, INVALID_STATE */
export function requireWellFormed(container: NewContainer, config: Config): void {
  const { encrypted_blob, user_public_container_key, categories } = container;
  const blobBytesMax = smallObjectBytesMax(config);
  requireSizes([
    ["encrypted_blob", encrypted_blob, blobBytesMax],
    ["user_public_container_key", user_public_container_key, encryptionKeyBytesMax(config)],
  ]);
  for (const category of categories) {
    requireSizes([["categories.encrypted_blob", category.encrypted_blob, blobBytesMax]]);
  }
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

/** As `requireWellFormed`, entries included. */
export function requireWellFormedUpload(container: BulkUploadContainer, config: Config): void {
  requireWellFormed(container, config);
  const categoryTempIds = new Set(container.categories.map(({ temp_id }) => temp_id));
  const entryTempIds = new Set<number>();
  const blobBytesMax = smallObjectBytesMax(config);
  for (const { temp_id, encrypted_blob, category_temp_id } of container.entries) {
    requireSizes([["entries.encrypted_blob", encrypted_blob, blobBytesMax]]);
    if (entryTempIds.has(temp_id)) throw new ApiError("INVALID_STATE", "Two entries have the same temp_id.");
    entryTempIds.add(temp_id);
    if (category_temp_id !== undefined && !categoryTempIds.has(category_temp_id)) {
      throw new ApiError("INCORRECTLY_FORMED", "An entry's category_temp_id names no category of its container.");
    }
  }
  if (container.entries.length > config.entriesPerContainerMax) {
    throw tooManyRows("entries", config.entriesPerContainerMax);
  }
}
