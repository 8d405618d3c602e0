import { outOfDate, randomVersionNonce, settleChange, tooManyRows } from "../db/containerChange.ts";
import { category as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { ApiError } from "../errors.ts";
import type { ContainerAccess } from "../http/access.ts";
import type { CategoryUpdate } from "./messages.ts";

export interface NewCategory {
  category_id: string;
  encrypted_blob: Uint8Array;
  version_nonce: bigint;
  modified_timestamp: bigint;
  categories_max: number;
}

/** @throws ApiError TOO_MANY_REQUESTED, and those of settleChange */
export async function createCategory(db: Db, access: ContainerAccess, category: NewCategory): Promise<void> {
  await settleChange(
    () => queries.create(db, { ...access, ...category }),
    (row) => row.was_created,
    (row) => (row.has_room ? undefined : tooManyRows("categories", category.categories_max)),
  );
}

/**
 * Replaces the blob of a category whose newest version the caller has seen.
 *
 * @throws ApiError CATEGORY_DOES_NOT_EXIST, OUT_OF_DATE, TOO_MANY_REQUESTED (when it would revive one too many), and
 * those of settleChange
 */
export async function replaceCategory(
  db: Db,
  access: ContainerAccess,
  category: CategoryUpdate & { categories_max: number },
): Promise<void> {
  await settleChange(
    () => queries.replace(db, { ...access, ...category }),
    (row) => row.was_replaced,
    (row) => {
      if (row.current_version_nonce === null) {
        return new ApiError("CATEGORY_DOES_NOT_EXIST", "There is no such category in this container.");
      }
      if (row.current_version_nonce !== category.expected_previous_version_nonce) return outOfDate("category");
      return row.has_room ? undefined : tooManyRows("categories", category.categories_max);
    },
  );
}

/**
 * Makes a category a tombstone and takes it from the container's entries; does nothing when there is none.
 *
 * @throws those of settleChange
 */
export async function softDeleteCategory(db: Db, access: ContainerAccess, category_id: string): Promise<void> {
  const version_nonce = randomVersionNonce();
  await settleChange(
    () => queries.soft_delete(db, { ...access, category_id, version_nonce }),
    (row) => row.read_only === false,
    () => undefined,
  );
}
