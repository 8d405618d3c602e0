import { ApiError } from "../errors.ts";

const MEM_COST_KIB_MIN = 19_456;
/** With this much memory one iteration is enough. */
const MEM_COST_KIB_OF_ONE_ITERATION = 47_104;
const MEM_COST_KIB_MAX = 4 * 1024 * 1024;
const ITERATIONS_MAX = 64;
const THREADS_MAX = 16;
export const SALT_BYTES_MIN = 16;
export const SALT_BYTES_MAX = 1024;

/**
 * Checks parameters with which a client hashes (Argon2id), so that a careless client cannot store an account that is
 * cheap to attack or impossible to open (decision A14).
 *
 * @param prefix of the three fields, for the message
 * @throws ApiError INCORRECTLY_FORMED
 */
export function requireHashParameters(
  prefix: string,
  parameters: { mem_cost_kib: number; threads: number; iterations: number },
): void {
  const { mem_cost_kib, threads, iterations } = parameters;
  const iterationsMin = mem_cost_kib >= MEM_COST_KIB_OF_ONE_ITERATION ? 1 : 2;
  requireRange(`${prefix}_mem_cost_kib`, mem_cost_kib, MEM_COST_KIB_MIN, MEM_COST_KIB_MAX);
  requireRange(`${prefix}_threads`, threads, 1, THREADS_MAX);
  requireRange(`${prefix}_iterations`, iterations, iterationsMin, ITERATIONS_MAX);
}

/** @throws ApiError INCORRECTLY_FORMED for a salt under 16 bytes; the upper bound is a size, checked with the others */
export function requireSalt(field: string, salt: Uint8Array): void {
  if (salt.length >= SALT_BYTES_MIN) return;
  throw new ApiError("INCORRECTLY_FORMED", `${field} must have at least ${SALT_BYTES_MIN} bytes.`);
}

/** @throws ApiError INCORRECTLY_FORMED */
export function requireNotEmpty(field: string, value: Uint8Array): void {
  if (value.length === 0) throw new ApiError("INCORRECTLY_FORMED", `${field} must not be empty.`);
}

function requireRange(field: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return;
  throw new ApiError("INCORRECTLY_FORMED", `${field} must be from ${min} to ${max}.`);
}
