import type { Config } from "../config.ts";
import { ApiError } from "../errors.ts";

/**
 * Refuses the first field that is larger than its limit; exactly the limit passes.
 *
 * @param fields name, value and largest size in bytes, in the contract's order
 * @throws ApiError INPUT_TOO_LARGE
 */
export function requireSizes(fields: readonly (readonly [name: string, value: Uint8Array, bytesMax: number])[]): void {
  for (const [name, value, bytesMax] of fields) {
    if (value.length > bytesMax) {
      throw new ApiError("INPUT_TOO_LARGE", `${name} has ${value.length} bytes; at most ${bytesMax} are allowed.`);
    }
  }
}

/** No blob may be larger, whatever the settings say: the tables refuse it (decision W8). */
const STORED_BLOB_BYTES_MAX = 104_857_600;

/** The limit of every blob of a container, category or entry, in bytes. */
export function smallObjectBytesMax(config: Config): number {
  return Math.min(config.smallObjectSizeMaxKb * 1024, STORED_BLOB_BYTES_MAX);
}

/** The limit of a user's preferences, in bytes. */
export function preferencesBytesMax(config: Config): number {
  return Math.min(config.preferencesSizeMaxKb * 1024, STORED_BLOB_BYTES_MAX);
}

/** The limit of a user's keystore, in bytes. */
export function keystoreBytesMax(config: Config): number {
  return Math.min(config.keystoreSizeMaxKb * 1024, STORED_BLOB_BYTES_MAX);
}

/** The limit of public keys and wrapped keys, in bytes; the tables hold no more than 4096 (decision W8). */
export function encryptionKeyBytesMax(config: Config): number {
  return Math.min(config.encryptionKeySizeMaxKb * 1024, 4096);
}
