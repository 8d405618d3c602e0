/**
 * Small secrets at rest: AES-128-GCM (NIST SP 800-38D) with a random 96-bit nonce, as
 * nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes).
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts bytes so that they can only be read, and only be used for their purpose, by whoever has the key.
 *
 * @param key 16 bytes; under one key at most 2^32 secrets (SP 800-38D, section 8.3)
 * @param boundTo says what the bytes are for: they open only with the same text
 * @returns 28 bytes more than `secret`
 */
export function seal(key: Uint8Array, secret: Uint8Array, boundTo: string): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-128-gcm", key, nonce).setAAD(Buffer.from(boundTo));
  return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
}

/**
 * @param boundTo as it was sealed with
 * @returns undefined for bytes that were changed, cut, sealed with another key or for another purpose
 */
export function unseal(key: Uint8Array, sealed: Uint8Array, boundTo: string): Uint8Array | undefined {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const options = { authTagLength: TAG_BYTES };
  const decipher = createDecipheriv("aes-128-gcm", key, sealed.subarray(0, NONCE_BYTES), options)
    .setAAD(Buffer.from(boundTo))
    .setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  }
}
