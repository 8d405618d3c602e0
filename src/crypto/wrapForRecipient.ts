import { constants, publicEncrypt } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ApiError } from "../errors.ts";
import { isXwingPublicKey, readRsaPublicKey } from "./recipientKey.ts";
import type { SealPurpose } from "./xwing.ts";

/**
 * Encrypts a secret so that only the owner of a public key can read it, in the way of the key's type (decision C5):
 * RSAES-PKCS1-v1_5 (RFC 8017), as clients in the field read it and as long as the modulus, or a sealed value of xwing.ts.
 *
 * @param publicKey as its account has registered it
 * @param purpose what the secret is for; nothing in RSAES-PKCS1-v1_5 says so
 * @param secret at most 53 bytes, which fit the smallest RSA key that can be read
 * @throws ApiError INCORRECTLY_FORMED when the key is of neither type
 */
export async function wrapForRecipient(
  publicKey: Uint8Array,
  purpose: SealPurpose,
  secret: Uint8Array,
): Promise<Uint8Array> {
  if (isXwingPublicKey(publicKey)) {
    const { sealForXwing } = await import("./xwing.ts");
    return inTurn(() => sealForXwing(publicKey, purpose, secret));
  }
  const key = readRsaPublicKey(publicKey);
  if (!key) throw new ApiError("INCORRECTLY_FORMED", "The recipient's public key cannot be used for sharing.");
  return publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, secret);
}

/** The end of the queue. A process has one thread for all its requests, so it has one queue. */
let lastTurn: Promise<unknown> = Promise.resolve();

/** Sealing takes milliseconds of the thread that serves everybody: one at a time, and others get their turn between. */
function inTurn<Result>(work: () => Result): Promise<Result> {
  const result = lastTurn.then(() => nextTurn()).then(work);
  lastTurn = result.catch(() => {});
  return result;
}
