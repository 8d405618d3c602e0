/**
 * The public keys with which accounts receive shared containers (decision C5). There are two kinds, told apart by their
 * first byte:
 * - RSA: SubjectPublicKeyInfo in DER (RFC 5280). DER begins with a SEQUENCE, 0x30.
 * - X-Wing (draft-connolly-cfrg-xwing-kem, post-quantum): 0x58 ‖ ML-KEM-768 encapsulation key (1,184 bytes, FIPS 203) ‖
 *   X25519 public key (32 bytes, RFC 7748); 1,217 bytes. 0x58 is an ASCII X; neither DER nor PEM ("-") begins with it.
 */
import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";

/** First byte of an X-Wing public key, and of what is sealed for one. */
export const XWING_TAG = 0x58;
export const XWING_PUBLIC_KEY_BYTES = 1217;

const RSA_BITS_MIN = 2048;

/** Where the parts of an X-Wing public key begin or end: tag, coefficients, seed of the matrix, X25519. */
const COEFFICIENTS_START = 1;
const COEFFICIENTS_END = 1153;
const X25519_START = 1185;

/** The prime of ML-KEM (FIPS 203, section 2.4). */
const ML_KEM_Q = 3329;
/** SubjectPublicKeyInfo (RFC 8410) of an X25519 key is these bytes and then the key. */
const X25519_SPKI_PREFIX = Buffer.from("302a300506032b656e032100", "hex");

/** Whether an account may register this key: an RSA key of 2048 bits or more, or a valid X-Wing key. */
export function isRecipientPublicKey(key: Uint8Array): boolean {
  if (isXwingPublicKey(key)) return true;
  const bits = readRsaPublicKey(key)?.asymmetricKeyDetails?.modulusLength ?? 0;
  return bits >= RSA_BITS_MIN;
}

/** Reads an RSA key of any size (accounts of the reference may have less than 2048 bits), nothing behind its DER form. */
export function readRsaPublicKey(der: Uint8Array): KeyObject | undefined {
  try {
    const bytes = Buffer.from(der);
    const key = createPublicKey({ key: bytes, format: "der", type: "spki" });
    const isCanonical = key.asymmetricKeyType === "rsa" && key.export({ format: "der", type: "spki" }).equals(bytes);
    return isCanonical ? key : undefined;
  } catch {
    return undefined;
  }
}

/** Whether somebody can seal for this key, and only its owner can open that. */
export function isXwingPublicKey(key: Uint8Array): boolean {
  return (
    key.length === XWING_PUBLIC_KEY_BYTES &&
    key[0] === XWING_TAG &&
    areCoefficientsReduced(key.subarray(COEFFICIENTS_START, COEFFICIENTS_END)) &&
    isUsableX25519(key.subarray(X25519_START))
  );
}

/** The encapsulation key check of FIPS 203, section 7.2: every 12-bit number is less than q. */
function areCoefficientsReduced(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 3) {
    const [first = 0, middle = 0, last = 0] = bytes.subarray(at, at + 3);
    const low = first | ((middle & 0x0f) << 8);
    const high = (middle >> 4) | (last << 4);
    if (low >= ML_KEM_Q || high >= ML_KEM_Q) return false;
  }
  return true;
}

/** A point of low order gives the same, all-zero secret with every key, which the runtime refuses (RFC 7748, section 6.1). */
function isUsableX25519(point: Uint8Array): boolean {
  try {
    const publicKey = createPublicKey({
      key: Buffer.concat([X25519_SPKI_PREFIX, point]),
      format: "der",
      type: "spki",
    });
    diffieHellman({ privateKey: generateKeyPairSync("x25519").privateKey, publicKey });
    return true;
  } catch {
    return false;
  }
}
