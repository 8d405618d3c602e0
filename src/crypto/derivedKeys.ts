import { hkdfSync } from "node:crypto";

/** Keys for one purpose each, all from the token signing key, so that an operator keeps one secret. */
export interface DerivedKeys {
  /** Encrypts the claims of tokens, 16 bytes. */
  tokenEncryption: Uint8Array;
  /** Keys the HMAC of stored passcodes, 32 bytes. */
  otp: Uint8Array;
  /** Keys the HMAC under which sign-in challenges of an address are stored, 32 bytes. */
  address: Uint8Array;
  /** Keys what is made up for addresses without an account, 32 bytes. */
  phony: Uint8Array;
  /** Keys the HMAC of stored recovery codes, 32 bytes. */
  recoveryCodes: Uint8Array;
  /** Keys the handles by which passkeys know their accounts, 32 bytes. */
  passkeyUsers: Uint8Array;
}

/**
 * HKDF-SHA256 (RFC 5869) with the purpose as `info`.
 *
 * @param tokenSigningKey 64 bytes
 * @param tokenEncryptionKey 16 bytes of the operator's own for `tokenEncryption`
 */
export function deriveKeys(tokenSigningKey: Uint8Array, tokenEncryptionKey?: Uint8Array): DerivedKeys {
  const derive = (purpose: string, bytes: number) =>
    new Uint8Array(hkdfSync("sha256", tokenSigningKey, new Uint8Array(0), `entries-server ${purpose}`, bytes));
  return {
    tokenEncryption: tokenEncryptionKey ?? derive("token encryption", 16),
    otp: derive("one-time passcodes", 32),
    address: derive("sign-in challenges", 32),
    phony: derive("phony answers", 32),
    recoveryCodes: derive("recovery codes", 32),
    passkeyUsers: derive("passkey users", 32),
  };
}
