import { createPublicKey } from "node:crypto";

const RSA_BITS_MIN = 2048;

/**
 * Whether an account may register this key for receiving shared containers: an RSA key of 2048 bits or more as
 * SubjectPublicKeyInfo in DER (RFC 5280), nothing behind it (decision C5).
 */
export function isRecipientPublicKey(der: Uint8Array): boolean {
  try {
    const bytes = Buffer.from(der);
    const key = createPublicKey({ key: bytes, format: "der", type: "spki" });
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    if (key.asymmetricKeyType !== "rsa" || bits < RSA_BITS_MIN) return false;
    return key.export({ format: "der", type: "spki" }).equals(bytes);
  } catch {
    return false;
  }
}
