/**
 * Sealing for X-Wing public keys (recipientKey.ts): only the recipient can open it, also against an attacker with a
 * quantum computer, as long as one of ML-KEM-768 and X25519 holds. A sealed value is 1,137 bytes longer than the plaintext:
 *
 *     offset  bytes  what
 *          0      1  0x58
 *          1  1,088  ML-KEM-768 ciphertext (FIPS 203) \  encapsulation of X-Wing
 *      1,089     32  ephemeral X25519 public key      /  (draft-connolly-cfrg-xwing-kem)
 *      1,121      n  ciphertext of the plaintext's n bytes, ChaCha20-Poly1305 (RFC 8439)
 *  1,121 + n     16  its tag
 *
 * X-Wing's encapsulation gives a shared secret of 32 bytes. HKDF-SHA256 (RFC 5869) over it, with empty salt and the
 * purpose's text below as info, gives 44 bytes: 32 of the ChaCha20-Poly1305 key, then 12 of its nonce. Each sealing has
 * an encapsulation of its own, so no nonce comes twice under a key. Associated data: the recipient's public key as it
 * is registered, 1,217 bytes with its 0x58.
 *
 * This file loads code that costs some 30 ms of start time: import it when there is something to seal.
 */
import { hkdfSync, randomBytes } from "node:crypto";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ml_kem768_x25519 } from "@noble/post-quantum/hybrid.js";
import { XWING_TAG } from "./recipientKey.ts";

/** What a sealed value is for. The text is the info of HKDF: a value that was sealed for one use opens for no other. */
export const SEAL_INFO = {
  acceptPrivateKey: "entries-server x-wing 1 accept private key",
  acceptKeyId: "entries-server x-wing 1 accept key id",
  acceptKeyInfo: "entries-server x-wing 1 accept key info",
} as const;

export type SealPurpose = keyof typeof SEAL_INFO;

export const XWING_COINS_BYTES = 64;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;

/**
 * Seals bytes for a recipient. Takes about 2 ms of computation.
 *
 * @param publicKey 1,217 bytes, which `isXwingPublicKey` accepts
 * @param coins 64 bytes, secret and never used again: of ML-KEM, then the ephemeral X25519 key. Only tests give them
 */
export function sealForXwing(
  publicKey: Uint8Array,
  purpose: SealPurpose,
  plaintext: Uint8Array,
  coins: Uint8Array = randomBytes(XWING_COINS_BYTES),
): Uint8Array {
  const { cipherText: encapsulation, sharedSecret } = ml_kem768_x25519.encapsulate(publicKey.subarray(1), coins);
  const keyAndNonce = new Uint8Array(
    hkdfSync("sha256", sharedSecret, new Uint8Array(0), SEAL_INFO[purpose], KEY_BYTES + NONCE_BYTES),
  );
  const cipher = chacha20poly1305(keyAndNonce.subarray(0, KEY_BYTES), keyAndNonce.subarray(KEY_BYTES), publicKey);
  return Buffer.concat([Uint8Array.of(XWING_TAG), encapsulation, cipher.encrypt(plaintext)]);
}
