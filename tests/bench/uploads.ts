/** One bulk upload, by the server and by postgres.js alone: the same rows in the same tables. Each function is a round. */
import { randomBytes } from "node:crypto";
import {
  type BulkUploadContainer,
  BulkUploadContainerFrameList,
  BulkUploadContainerList,
} from "../../src/container/messages.ts";
import { type IdentifiedContainer, identify } from "../../src/container/upload.ts";
import type { Db } from "../../src/db/query.ts";
import { MEDIA_TYPES } from "../../src/wire/negotiation.ts";
import { newCategory, newEntry, newUpload } from "../support/uploadCalls.ts";
import { openPool } from "./bare.ts";
import type { Target } from "./load.ts";
import { BLOB_BYTES, CATEGORIES_EACH } from "./stock.ts";

export const CONTAINERS = 100;
export const ENTRIES_EACH = 50;
/** Larger ones are not faster. */
const CHUNK_ROWS = 500;

/** What a round comes to: how long it took, and the containers that it made. */
export interface UploadTally {
  ms: number;
  container_ids: string[];
}

const blob = () => ({ encrypted_blob: randomBytes(BLOB_BYTES) });

function makeContainer(): BulkUploadContainer {
  const categories = Array.from({ length: CATEGORIES_EACH }, (_, index) => newCategory(index, blob()));
  const entries = Array.from({ length: ENTRIES_EACH }, (_, index) =>
    newEntry(index, { ...blob(), category_temp_id: index % CATEGORIES_EACH }),
  );
  return newUpload({ ...blob(), categories, entries }).container;
}

let containers: BulkUploadContainer[] = [];

/** Made once per process. */
function makeContainers(): readonly BulkUploadContainer[] {
  if (containers.length === 0) containers = Array.from({ length: CONTAINERS }, makeContainer);
  return containers;
}

/** Uploads all of it in one request, by an account that has not done so. */
export async function bulkUpload({ port, accessToken }: Target): Promise<UploadTally> {
  const body = BulkUploadContainerList.encodeProtobuf({ containers: [...makeContainers()] });
  const headers = { "x-access-token": accessToken, "content-type": MEDIA_TYPES.protobuf, accept: MEDIA_TYPES.protobuf };
  const startedAt = performance.now();
  const response = await fetch(`http://127.0.0.1:${port}/api/container/bulk-upload`, { method: "POST", headers, body });
  const answer = new Uint8Array(await response.arrayBuffer());
  const ms = performance.now() - startedAt;
  if (response.status !== 201) throw new Error(`a bulk upload was answered ${response.status}`);
  const frames = BulkUploadContainerFrameList.decodeProtobuf(answer).containers;
  return { ms, container_ids: frames.map(({ id }) => id) };
}

let pool: Db | undefined;

/** Inserts all of it by postgres.js' own helper, in one transaction. */
export async function insertInChunks({ socketPath }: { socketPath: string }): Promise<UploadTally> {
  pool ??= openPool(socketPath, 1);
  const identified = makeContainers().map(identify);
  const tables = tablesOf(identified);
  const startedAt = performance.now();
  await pool.begin(async (transaction) => {
    for (const [table, rows] of tables) {
      for (let start = 0; start < rows.length; start += CHUNK_ROWS) {
        await transaction`insert into ${transaction(table)} ${transaction(rows.slice(start, start + CHUNK_ROWS))}`;
      }
    }
  });
  return { ms: performance.now() - startedAt, container_ids: identified.map(({ id }) => id) };
}

type Row = Record<string, string | number | boolean | bigint | Uint8Array | null>;

/** The rows of every table, in the order in which they refer to each other. */
function tablesOf(identified: readonly IdentifiedContainer[]): [table: string, rows: Row[]][] {
  const modified_timestamp = new Date().toISOString();
  return [
    [
      "containers",
      identified.map(({ id, encrypted_blob, version_nonce }) => ({
        id,
        encrypted_blob,
        version_nonce,
        modified_timestamp,
        sequence: 1,
      })),
    ],
    [
      "container_heads",
      identified.map(({ id: container_id }) => ({
        container_id,
        last_sequence: 1 + CATEGORIES_EACH + ENTRIES_EACH,
        live_entries: 0,
        live_categories: 0,
      })),
    ],
    [
      "container_access_keys",
      identified.map(({ id: container_id, access_key_id: key_id, public_key }) => ({
        key_id,
        container_id,
        public_key,
        read_only: false,
      })),
    ],
    [
      "categories",
      identified.flatMap(({ id: container_id, category_ids }) =>
        category_ids.map(({ real_id: id, encrypted_blob, version_nonce }, index) => ({
          id,
          container_id,
          encrypted_blob,
          version_nonce,
          modified_timestamp,
          sequence: 2 + index,
        })),
      ),
    ],
    [
      "entries",
      identified.flatMap(({ id: container_id, entry_ids }) =>
        entry_ids.map(({ real_id: id, category_id = null, encrypted_blob, version_nonce }, index) => ({
          id,
          container_id,
          category_id,
          encrypted_blob,
          version_nonce,
          modified_timestamp,
          sequence: 2 + CATEGORIES_EACH + index,
        })),
      ),
    ],
  ];
}
