/** Stores whole containers with their categories and entries, any number of rows in one transaction (decision W15). */
import { container as queries } from "../db/queries.ts";
import type { Db, Executor } from "../db/query.ts";
import { ApiError } from "../errors.ts";
import type { BulkUploadContainer, BulkUploadEntry, CategoryWithTempId } from "./messages.ts";
import { batchesOf, packBlobs } from "./rowBatches.ts";

/** An uploaded container with the ids that it gets: all that its frame says, and all that is stored. */
export interface IdentifiedContainer {
  id: string;
  access_key_id: string;
  public_key: Uint8Array;
  encrypted_blob: Uint8Array;
  version_nonce: bigint;
  category_ids: (CategoryWithTempId & { real_id: string })[];
  entry_ids: (BulkUploadEntry & { real_id: string; category_id: string | undefined })[];
}

export interface Upload {
  containers: readonly IdentifiedContainer[];
  /** Of every row, in microseconds since the Unix epoch. */
  modified_timestamp: bigint;
}

/**
 * Gives everything in a container its id, of version 7 and in the request's order (decision W14).
 *
 * @param uploaded well-formed: an entry's category is one of the container's
 */
export function identify(uploaded: BulkUploadContainer): IdentifiedContainer {
  const id = Bun.randomUUIDv7();
  const category_ids = uploaded.categories.map((row) => ({ ...row, real_id: Bun.randomUUIDv7() }));
  const idsByTempId = new Map(category_ids.map(({ temp_id, real_id }) => [temp_id, real_id]));
  const entry_ids = uploaded.entries.map((row) => ({
    ...row,
    real_id: Bun.randomUUIDv7(),
    category_id: row.category_temp_id === undefined ? undefined : idsByTempId.get(row.category_temp_id),
  }));
  return {
    id,
    access_key_id: crypto.randomUUID(),
    public_key: uploaded.user_public_container_key,
    encrypted_blob: uploaded.encrypted_blob,
    version_nonce: uploaded.version_nonce,
    category_ids,
    entry_ids,
  };
}

/** Stores all of it or nothing. */
export async function storeUpload(db: Db, upload: Upload): Promise<void> {
  await db.begin((transaction) => insertAll(transaction, upload));
}

/** As `storeUpload`, once per account. @throws ApiError USER_DISALLOWED the second time, and without an account */
export async function storeUploadOnce(db: Db, user_id: string, upload: Upload): Promise<void> {
  await db.begin(async (transaction) => {
    const isFirst = (await queries.take_bulk_upload(transaction, { user_id })) === 1;
    if (!isFirst)
      throw new ApiError("USER_DISALLOWED", "An account can do one bulk upload, and this one has done it or is gone.");
    await insertAll(transaction, upload);
  });
}

async function insertAll(transaction: Executor, { containers, modified_timestamp }: Upload): Promise<void> {
  for (const batch of batchesOf(containers)) {
    await queries.upload_containers(transaction, {
      modified_timestamp,
      ids: batch.map(({ id }) => id),
      version_nonces: batch.map(({ version_nonce }) => version_nonce),
      last_sequences: batch.map(({ category_ids, entry_ids }) => BigInt(1 + category_ids.length + entry_ids.length)),
      key_ids: batch.map(({ access_key_id }) => access_key_id),
      public_keys: Buffer.concat(batch.map(({ public_key }) => public_key)),
      ...packBlobs(batch),
    });
  }
  for (const batch of batchesOf(categoriesOf(containers))) {
    await queries.upload_categories(transaction, { modified_timestamp, ...columnsOf(batch) });
  }
  for (const batch of batchesOf(entriesOf(containers))) {
    const category_ids = batch.map(({ category_id }) => category_id ?? "");
    await queries.upload_entries(transaction, { modified_timestamp, category_ids, ...columnsOf(batch) });
  }
}

interface NewRow {
  real_id: string;
  container_id: string;
  version_nonce: bigint;
  /** A container has number 1, its categories have the next ones, and then come its entries (decision C6). */
  sequence: bigint;
  encrypted_blob: Uint8Array;
}

/** One row at a time, since all at once would be a second copy of the request. */
function* categoriesOf(containers: readonly IdentifiedContainer[]): Generator<NewRow> {
  for (const { id: container_id, category_ids } of containers) {
    let sequence = 2n;
    for (const row of category_ids) yield { ...row, container_id, sequence: sequence++ };
  }
}

function* entriesOf(containers: readonly IdentifiedContainer[]): Generator<NewRow & { category_id?: string }> {
  for (const { id: container_id, category_ids, entry_ids } of containers) {
    let sequence = BigInt(2 + category_ids.length);
    for (const row of entry_ids) yield { ...row, container_id, sequence: sequence++ };
  }
}

function columnsOf(rows: readonly NewRow[]) {
  return {
    ids: rows.map(({ real_id }) => real_id),
    container_ids: rows.map(({ container_id }) => container_id),
    version_nonces: rows.map(({ version_nonce }) => version_nonce),
    sequences: rows.map(({ sequence }) => sequence),
    ...packBlobs(rows),
  };
}
