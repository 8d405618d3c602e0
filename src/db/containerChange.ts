/**
 * How every change inside a container ends. One statement checks key, nonce and references, and writes; where it wrote
 * nothing, the same row tells why.
 */
import { ApiError, overloaded } from "../errors.ts";

/** Attempts for a statement that keeps losing races; two are enough unless writers queue up. */
const ATTEMPTS_MAX = 5;
const SERIALIZATION_FAILURE = "40001";
const DEADLOCK_DETECTED = "40P01";

/** What such a statement tells about the key: null when it does not open the container. */
interface AccessRow {
  read_only: boolean | null;
}

/**
 * Runs a statement until its answer is conclusive. The row describes the moment before the statement waited for the
 * container's lock, so a change that lost a race may find no reason in it: asked again, it sees what won.
 *
 * @param isDone whether the statement wrote
 * @param explain the error that the row gives reason for, if any
 * @throws ApiError CONTAINER_DOES_NOT_EXIST, READ_ONLY_ACCESS, what `explain` says, or PREHANDLER 503
 */
export async function settleChange<Row extends AccessRow>(
  run: () => Promise<Row>,
  isDone: (row: Row) => boolean,
  explain: (row: Row) => ApiError | undefined,
): Promise<void> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const row = await run().catch(undefinedWhenRaceLost);
    if (!row) continue;
    if (isDone(row)) return;
    requireWritable(row);
    const error = explain(row);
    if (error) throw error;
  }
  throw overloaded("Too many changes at once in this container; try again.", 1);
}

/** @throws ApiError CONTAINER_DOES_NOT_EXIST, READ_ONLY_ACCESS */
function requireWritable({ read_only }: AccessRow): void {
  if (read_only === null) throw containerDoesNotExist();
  if (read_only) throw readOnlyAccess();
}

function undefinedWhenRaceLost(error: unknown): undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== SERIALIZATION_FAILURE && code !== DEADLOCK_DETECTED) throw error;
}

/** The same for an unknown container, an unknown key and a key of another container (containers.md 7). */
export function containerDoesNotExist(): ApiError {
  return new ApiError("CONTAINER_DOES_NOT_EXIST", "There is no such container, or this key does not open it.");
}

export function readOnlyAccess(): ApiError {
  return new ApiError("READ_ONLY_ACCESS", "This key may only read the container.");
}

export function outOfDate(what: string): ApiError {
  return new ApiError("OUT_OF_DATE", `The ${what} was changed since it was read; read it again.`);
}

export function tooManyRows(what: string, max: number): ApiError {
  return new ApiError("TOO_MANY_REQUESTED", `A container may hold at most ${max} ${what}.`);
}

/** A fresh nonce for a row that the server itself changes: any 64-bit integer. */
export function randomVersionNonce(): bigint {
  return crypto.getRandomValues(new BigInt64Array(1))[0] ?? 0n;
}
