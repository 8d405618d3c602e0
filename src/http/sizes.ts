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

const MIB = 1024 * 1024;

/** The limit of a body that anybody may send, without an access token, in bytes (decision W16). */
export function publicBodyBytesMax(): number {
  return MIB;
}

/**
 * The limit of a body that holds no more than two blobs, in bytes: base64 makes them a third larger. Reading a body
 * takes time in which nobody else is served, so no route gets a larger limit than its message needs.
 */
export function usualBodyBytesMax(config: Config): number {
  return Math.min(Math.max(MIB, 3 * smallObjectBytesMax(config)), requestBytesMax(config));
}

/** The limit of a container with as many categories as it may have, in bytes. */
export function containerBodyBytesMax(config: Config): number {
  const perCategory = 2 * smallObjectBytesMax(config) + 1024;
  return Math.min(MIB + config.categoriesPerContainerMax * perCategory, requestBytesMax(config));
}

/** The limit of uploads and re-keyings of whole containers, in bytes: as much as the operator lets anybody send. */
export function wholeContainersBodyBytesMax(config: Config): number {
  return requestBytesMax(config);
}

/** As many rows as a bulk upload of full containers has: more would only fill the memory. */
export function wholeContainersElementsMax(config: Config): number {
  return 100 * (config.entriesPerContainerMax + config.categoriesPerContainerMax + ELEMENTS_OF_A_CONTAINER);
}

/** The container itself and its own fields. */
const ELEMENTS_OF_A_CONTAINER = 10;

/** The limit of a sign-up, in bytes: a first keystore is small (decision W16). */
export function signUpBodyBytesMax(): number {
  return 4 * MIB;
}

/** The limit of a change of the preferences, in bytes. */
export function preferencesBodyBytesMax(config: Config): number {
  return Math.min(inBase64(preferencesBytesMax(config)), requestBytesMax(config));
}

/** The limit of a change of the keystore, in bytes. */
export function keystoreBodyBytesMax(config: Config): number {
  return Math.min(inBase64(keystoreBytesMax(config)), requestBytesMax(config));
}

/** Room for a blob in base64 and for all else that a body holds, in bytes. */
function inBase64(blobBytesMax: number): number {
  return MIB + Math.ceil((blobBytesMax * 4) / 3);
}

/** The limit of a change of the account key, in bytes: it carries the keystore and the preferences, in base64 perhaps. */
export function accountKeyBodyBytesMax(config: Config): number {
  const blobs = keystoreBytesMax(config) + preferencesBytesMax(config);
  return Math.min(inBase64(blobs), requestBytesMax(config));
}

/** The limit of a list of container tokens, in bytes: one has about 240, more with claims that only its client knows. */
export function containerTokensBodyBytesMax(config: Config): number {
  return Math.min(Math.max(MIB, config.containersMax * 512), requestBytesMax(config));
}

/** No body of any route may be larger. */
function requestBytesMax(config: Config): number {
  return config.bodySizeMaxMb * MIB;
}

/** No blob may be larger, whatever the settings say: the tables refuse it (decision W8). */
const STORED_BLOB_BYTES_MAX = 104_857_600;

/** The limit of every blob of a container, category or entry, in bytes. */
export function smallObjectBytesMax(config: Config): number {
  return Math.min(config.smallObjectSizeMaxKb * 1024, STORED_BLOB_BYTES_MAX);
}

/** The limit of what an invitation says of container and sender, in bytes; the tables hold 1 MiB each (decision W8). */
export function invitationInfoBytesMax(config: Config): number {
  return Math.min(config.smallObjectSizeMaxKb * 1024, MIB);
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
