/** Gives a container other keys: every blob of it is replaced at once, or none (decision C9). */
import { outOfDate, settleChange } from "../db/containerChange.ts";
import { container as queries } from "../db/queries.ts";
import type { Db, Executor } from "../db/query.ts";
import { ApiError } from "../errors.ts";
import type { ContainerAccess } from "../http/access.ts";
import { endpoint } from "../http/endpoint.ts";
import {
  requireSizes,
  smallObjectBytesMax,
  wholeContainersBodyBytesMax,
  wholeContainersElementsMax,
} from "../http/sizes.ts";
import { ContainerRekey, type RekeyedItem } from "./messages.ts";
import { batchesOf, packBlobs } from "./rowBatches.ts";

export const rekeyRoutes = [
  endpoint(
    {
      method: "PUT",
      path: "/api/container/rekey",
      summary: "Replaces the blobs of a container and of all its live rows, if the caller has seen the newest of each.",
      limit: "modify",
      tokens: { user: true, container: "write" },
      request: ContainerRekey,
      bodyBytesMax: wholeContainersBodyBytesMax,
      bodyElementsMax: wholeContainersElementsMax,
      errors: ["INPUT_TOO_LARGE", "INVALID_STATE", "OUT_OF_DATE"],
    },
    async ({ services: { config, db }, body, proofs }) => {
      const blobBytesMax = smallObjectBytesMax(config);
      requireSizes([["container.encrypted_blob", body.container.encrypted_blob, blobBytesMax]]);
      for (const row of body.categories) {
        requireSizes([["categories.encrypted_blob", row.encrypted_blob, blobBytesMax]]);
      }
      for (const row of body.entries) requireSizes([["entries.encrypted_blob", row.encrypted_blob, blobBytesMax]]);
      requireNamedOnce(body.categories, "category");
      requireNamedOnce(body.entries, "entry");
      await rekeyContainer(db, proofs.container, body);
    },
  ),
];

/** @throws ApiError INVALID_STATE */
function requireNamedOnce(items: readonly RekeyedItem[], what: string): void {
  if (new Set(items.map(({ id }) => id)).size < items.length) {
    throw new ApiError("INVALID_STATE", `The re-keying names one ${what} twice.`);
  }
}

/** @throws ApiError INVALID_STATE, OUT_OF_DATE, and those of settleChange; nothing is changed then */
async function rekeyContainer(db: Db, access: ContainerAccess, rekey: ContainerRekey): Promise<void> {
  await settleChange(
    () => db.begin((transaction) => tryToRekey(transaction, access, rekey)),
    (row) => row.has_exact_rows && row.has_newest_nonces,
    (row) => {
      if (row.has_exact_rows) return outOfDate("container");
      return new ApiError(
        "INVALID_STATE",
        "The re-keying must name every live category and entry of the container once.",
      );
    },
  );
}

/** Writes only when the key may write and both comparisons hold. */
async function tryToRekey(transaction: Executor, access: ContainerAccess, rekey: ContainerRekey) {
  const { container_id } = access;
  const { read_only } = await queries.lock(transaction, access);
  if (read_only !== false) return { read_only, has_exact_rows: false, has_newest_nonces: false };

  const found = await queries.compare_versions(transaction, {
    container_id,
    version_nonce: rekey.container.expected_previous_version_nonce,
    category_ids: rekey.categories.map(({ id }) => id),
    category_nonces: rekey.categories.map((row) => row.expected_previous_version_nonce),
    entry_ids: rekey.entries.map(({ id }) => id),
    entry_nonces: rekey.entries.map((row) => row.expected_previous_version_nonce),
  });
  if (found.has_exact_rows && found.has_newest_nonces) {
    await queries.rekey(transaction, { container_id, ...rekey.container });
    for (const batch of batchesOf(rekey.categories)) {
      await queries.rekey_categories(transaction, { container_id, ...columnsOf(batch) });
    }
    for (const batch of batchesOf(rekey.entries)) {
      await queries.rekey_entries(transaction, { container_id, ...columnsOf(batch) });
    }
  }
  return { read_only, ...found };
}

function columnsOf(rows: readonly RekeyedItem[]) {
  return {
    ids: rows.map(({ id }) => id),
    version_nonces: rows.map(({ version_nonce }) => version_nonce),
    ...packBlobs(rows),
  };
}
