/**
 * What the benchmark works on: containers with numbered ids and keys that follow from their number, so that the
 * benchmark, its load generator and pgbench agree on them without telling each other.
 */
import { createHash, createPrivateKey, createPublicKey, randomBytes } from "node:crypto";
import { container as containers, entry as entries } from "../../src/db/queries.ts";
import type { Db } from "../../src/db/query.ts";
import { Box, rawPublicKey } from "../support/client.ts";

export interface Shape {
  /** Number of the first container. */
  first: number;
  containers: number;
  entriesEach: number;
}

/** Enough containers that two edits rarely meet in one, as in practice. */
export const EDITED: Shape = { first: 0, containers: 200, entriesEach: 100 };
export const READ: Shape = { first: 1000, containers: 50, entriesEach: 40 };

export const CATEGORIES_EACH = 5;
export const BLOB_BYTES = 1024;
/** Entries and categories of container n are numbered from n times this on. */
export const NUMBERS_PER_CONTAINER = 1000;
/**
 * Every row has this nonce, and every edit keeps it. So the load generator and pgbench can take turns on the same rows
 * and each edit expects the right nonce. That it wrote is seen from the container's sequence numbers.
 */
export const NONCE = 7_000_000_000_000_000_001n;

/** What an id belongs to. The number is the id's first digit that is not a zero. */
export const ID_KINDS = { container: 1, key: 2, category: 3, entry: 4 } as const;
/** An id is this text and then 19 decimal digits: what pgbench, which only knows numbers, can make. */
export const ID_PREFIX = "0000000000000";
const KIND_UNIT = 10n ** 18n;

/** The 19 digits of an id as a number. */
export function idNumber(kind: keyof typeof ID_KINDS, number: number): bigint {
  return BigInt(ID_KINDS[kind]) * KIND_UNIT + BigInt(number);
}

export function idOf(kind: keyof typeof ID_KINDS, number: number): string {
  const digits = ID_PREFIX + idNumber(kind, number);
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The category of an entry. @param place of the entry in its container, from 0 */
export function categoryNumber(container: number, place: number): number {
  return container * NUMBERS_PER_CONTAINER + (place % CATEGORIES_EACH);
}

/** PKCS #8 in DER of an Ed25519 key, up to its 32 bytes (RFC 8410 section 7). */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

/** A container with the key that opens it. */
export function boxOf(container: number): Box {
  const seed = createHash("sha256").update(`benchmark container ${container}`).digest();
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });
  return new Box(idOf("container", container), idOf("key", container), key);
}

export function containerNumbers({ first, containers: count }: Shape): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

const PARALLEL = 10;

/** Stores containers with all their rows, by the statements that the server itself uses. */
export async function store(db: Db, shape: Shape): Promise<void> {
  const numbers = containerNumbers(shape);
  const worker = async () => {
    for (let number = numbers.pop(); number !== undefined; number = numbers.pop()) {
      await storeContainer(db, number, shape.entriesEach);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

async function storeContainer(db: Db, number: number, entriesCount: number): Promise<void> {
  const { id: container_id, key_id, privateKey } = boxOf(number);
  const modified_timestamp = BigInt(Date.now()) * 1000n;
  const places = Array.from({ length: CATEGORIES_EACH }, (_, place) => place);
  await containers.create(db, {
    container_id,
    key_id,
    encrypted_blob: randomBytes(BLOB_BYTES),
    version_nonce: NONCE,
    modified_timestamp,
    public_key: rawPublicKey(createPublicKey(privateKey)),
    category_ids: places.map((place) => idOf("category", categoryNumber(number, place))),
    category_blobs: places.map(() => randomBytes(BLOB_BYTES)),
    category_nonces: places.map(() => NONCE),
  });
  for (let place = 0; place < entriesCount; place++) {
    const { was_created } = await entries.create(db, {
      key_id,
      container_id,
      entry_id: idOf("entry", number * NUMBERS_PER_CONTAINER + place),
      encrypted_blob: randomBytes(BLOB_BYTES),
      version_nonce: NONCE,
      category_id: idOf("category", categoryNumber(number, place)),
      modified_timestamp,
      entries_max: NUMBERS_PER_CONTAINER,
    });
    if (!was_created) throw new Error(`entry ${place} of container ${number} was not stored`);
  }
}

/** How many changes were ever made in all containers. */
export async function countChanges(db: Db): Promise<number> {
  const [row] = await db.unsafe("select sum(last_sequence)::bigint as changes from container_heads");
  return Number(row?.changes);
}
