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

/** The limit of every blob of a container, category or entry, in bytes. */
export function smallObjectBytesMax(config: Config): number {
  return config.smallObjectSizeMaxKb * 1024;
}

/** The limit of public keys and wrapped keys, in bytes; the tables hold no more than 4096 (decision W8). */
export function encryptionKeyBytesMax(config: Config): number {
  return Math.min(config.encryptionKeySizeMaxKb * 1024, 4096);
}
