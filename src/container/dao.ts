import { containerDoesNotExist, outOfDate, settleChange } from "../db/containerChange.ts";
import { container as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { ApiError } from "../errors.ts";
import type { ContainerAccess } from "../http/access.ts";
import type { Category, Entry } from "../wire/common.ts";
import type { Encodable } from "../wire/message.ts";
import type { WorkQueue } from "../workQueue.ts";
import type { Container, EncryptedBlobUpdate } from "./messages.ts";

/** A container's rank in the answer of fetch.sql when there is too much to read. */
const TOO_LARGE = -1;

export interface NewContainerRows {
  container_id: string;
  key_id: string;
  encrypted_blob: Uint8Array;
  version_nonce: bigint;
  modified_timestamp: bigint;
  public_key: Uint8Array;
  category_ids: string[];
  category_blobs: Uint8Array[];
  category_nonces: bigint[];
}

/** Stores a container with its first access key and its categories. */
export async function createContainer(db: Db, rows: NewContainerRows): Promise<void> {
  await queries.create(db, rows);
}

/** @throws ApiError OUT_OF_DATE, and those of settleChange */
export async function replaceContainer(db: Db, access: ContainerAccess, update: EncryptedBlobUpdate): Promise<void> {
  await settleChange(
    () => queries.replace(db, { ...access, ...update }),
    (row) => row.was_replaced,
    (row) => {
      if (row.current_version_nonce === null) return containerDoesNotExist();
      if (row.current_version_nonce !== update.expected_previous_version_nonce) return outOfDate("container");
    },
  );
}

/** What is read at once, whatever else is being read: about as much as a client syncs with one request. */
const USUAL_BYTES_MAX = 8n * 1024n * 1024n;
/** Several containers of more than this are refused: the client can ask for each alone. */
const TOGETHER_BYTES_MAX = 100n * 1024n * 1024n;
const ANY_BYTES = 2n ** 62n;

/**
 * Reads whole containers, each once, in one snapshot; containers, categories and entries by id (decision W4).
 *
 * @param largeReads the queue for reads that take much memory while they are made
 * @throws ApiError CONTAINER_DOES_NOT_EXIST when one of the keys is gone; TOO_MANY_REQUESTED when several containers have
 * more than 100 MiB together: answering takes memory, and a time in which nobody else is served; PREHANDLER 503
 */
export async function fetchContainers(
  db: Db,
  access: readonly ContainerAccess[],
  largeReads: WorkQueue,
): Promise<Encodable<Container>[]> {
  if (access.length === 0) return [];
  const usual = await tryToFetch(db, access, USUAL_BYTES_MAX);
  if (usual) return usual;
  const isAlone = access.every(({ container_id }) => container_id === access[0]?.container_id);
  const large = await largeReads.run(() => tryToFetch(db, access, isAlone ? ANY_BYTES : TOGETHER_BYTES_MAX));
  if (large) return large;
  throw new ApiError(
    "TOO_MANY_REQUESTED",
    "These containers are too large to be read at once: read fewer, or use POST /api/container/changes.",
  );
}

/** @returns undefined when there is more to read */
async function tryToFetch(
  db: Db,
  access: readonly ContainerAccess[],
  bytes_max: bigint,
): Promise<Encodable<Container>[] | undefined> {
  const rows = await queries.fetch(db, {
    key_ids: access.map(({ key_id }) => key_id),
    container_ids: access.map(({ container_id }) => container_id),
    bytes_max,
  });
  const [first] = rows;
  if (!first) throw containerDoesNotExist();
  if (first.rank === TOO_LARGE) return undefined;
  const containers: Encodable<Container>[] = [];
  let categories: Encodable<Category>[] = [];
  let entries: Encodable<Entry>[] = [];
  for (const row of rows) {
    if (row.rank === 1) {
      categories.push(row);
    } else if (row.rank === 2) {
      entries.push(row);
    } else {
      categories = [];
      entries = [];
      containers.push({ ...row, categories, entries });
    }
  }
  return containers;
}
