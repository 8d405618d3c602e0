import { outOfDate, randomVersionNonce, settleChange, tooManyRows } from "../db/containerChange.ts";
import { entry as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { ApiError } from "../errors.ts";
import type { ContainerAccess } from "../http/access.ts";
import type { EncryptedBlobAndCategoryId, EntryAndCategory, EntryUpdate } from "./messages.ts";

/** @throws ApiError FOREIGN_KEY_DOES_NOT_EXIST, TOO_MANY_REQUESTED, and those of settleChange */
export async function createEntry(
  db: Db,
  access: ContainerAccess,
  entry: EncryptedBlobAndCategoryId & { entry_id: string; modified_timestamp: bigint; entries_max: number },
): Promise<void> {
  await settleChange(
    () => queries.create(db, { ...access, ...entry }),
    (row) => row.was_created,
    (row) => {
      if (!row.category_exists) return categoryIsNotHere();
      return row.has_room ? undefined : tooManyRows("entries", entry.entries_max);
    },
  );
}

/**
 * Replaces blob and category of an entry whose newest version the caller has seen.
 *
 * @throws ApiError ENTRY_DOES_NOT_EXIST, OUT_OF_DATE, FOREIGN_KEY_DOES_NOT_EXIST, TOO_MANY_REQUESTED (when it would
 * revive one too many), and those of settleChange
 */
export async function replaceEntry(
  db: Db,
  access: ContainerAccess,
  entry: EntryUpdate & { entries_max: number },
): Promise<void> {
  await settleChange(
    () => queries.replace(db, { ...access, ...entry }),
    (row) => row.was_replaced,
    (row) => {
      if (row.current_version_nonce === null) {
        return new ApiError("ENTRY_DOES_NOT_EXIST", "There is no such entry in this container.");
      }
      if (row.current_version_nonce !== entry.expected_previous_version_nonce) return outOfDate("entry");
      if (!row.category_exists) return categoryIsNotHere();
      return row.has_room ? undefined : tooManyRows("entries", entry.entries_max);
    },
  );
}

/** Makes an entry a tombstone; does nothing when there is none to delete. @throws those of settleChange */
export async function softDeleteEntry(db: Db, access: ContainerAccess, entry_id: string): Promise<void> {
  const version_nonce = randomVersionNonce();
  await settleChange(
    () => queries.soft_delete(db, { ...access, entry_id, version_nonce }),
    (row) => row.was_deleted || (row.read_only === false && !row.was_live),
    () => undefined,
  );
}

/** @throws ApiError TOO_MANY_REQUESTED, and those of settleChange */
export async function createEntryAndCategory(
  db: Db,
  access: ContainerAccess,
  rows: EntryAndCategory & {
    entry_id: string;
    category_id: string;
    modified_timestamp: bigint;
    entries_max: number;
    categories_max: number;
  },
): Promise<void> {
  await settleChange(
    () => queries.create_with_category(db, { ...access, ...rows }),
    (row) => row.was_created,
    (row) =>
      row.has_room
        ? undefined
        : new ApiError(
            "TOO_MANY_REQUESTED",
            `A container may hold at most ${rows.entries_max} entries and ${rows.categories_max} categories.`,
          ),
  );
}

function categoryIsNotHere(): ApiError {
  return new ApiError("FOREIGN_KEY_DOES_NOT_EXIST", "There is no such category in this container.");
}
