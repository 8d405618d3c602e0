import { generateKeyPairSync } from "node:crypto";
import { ED25519_PUBLIC_KEY_BYTES } from "../crypto/ed25519.ts";
import { uuidBytes } from "../crypto/uuid.ts";
import { wrapForRecipient } from "../crypto/wrapForRecipient.ts";
import { AcceptKeyInfo } from "./messages.ts";

/** In PKCS#8 (RFC 8410) the seed of an Ed25519 key stands at the end. */
const ED25519_SEED_BYTES = 32;
const MICROS_PER_SEC = 1_000_000n;

/** A fresh key with which a recipient proves to be the one invited. Its private half is nowhere but in the wrapped value. */
export interface AcceptKey {
  /** Version 4: it tells no time (decision W14). */
  id: string;
  /** Ed25519, 32 bytes. */
  public_key: Uint8Array;
  /** The 32 bytes of the private key's seed, the 16 bytes of the id, and AcceptKeyInfo in protobuf. */
  wrapped: { privateKey: Uint8Array; id: Uint8Array; info: Uint8Array };
}

/**
 * @param recipientPublicKey as its account has registered it
 * @param offer `expiration` in microseconds since the epoch; the recipient is told whole seconds
 * @throws ApiError INCORRECTLY_FORMED when nothing can be wrapped for the recipient's key
 */
export async function makeAcceptKey(
  recipientPublicKey: Uint8Array,
  { read_only, expiration }: { read_only: boolean; expiration: bigint },
): Promise<AcceptKey> {
  const id = crypto.randomUUID();
  const pair = generateKeyPairSync("ed25519");
  const seed = pair.privateKey.export({ format: "der", type: "pkcs8" }).subarray(-ED25519_SEED_BYTES);
  const keyInfo = AcceptKeyInfo.encodeProtobuf({ read_only, expiration: expiration / MICROS_PER_SEC });
  const [privateKey, wrappedId, info] = await Promise.all([
    wrapForRecipient(recipientPublicKey, "acceptPrivateKey", seed),
    wrapForRecipient(recipientPublicKey, "acceptKeyId", uuidBytes(id)),
    wrapForRecipient(recipientPublicKey, "acceptKeyInfo", keyInfo),
  ]);
  const public_key = pair.publicKey.export({ format: "der", type: "spki" }).subarray(-ED25519_PUBLIC_KEY_BYTES);
  return { id, public_key, wrapped: { privateKey, id: wrappedId, info } };
}
