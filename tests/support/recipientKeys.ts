/**
 * Key pairs with which accounts receive shared containers, and how their owners open what was wrapped for them. X-Wing is
 * put together here from its parts, and from the runtime's own primitives: the server uses those of noble.
 */
import {
  constants,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  randomBytes,
  webcrypto,
} from "node:crypto";
import { shake256 } from "@noble/hashes/sha3.js";

export type Purpose = "accept private key" | "accept key id" | "accept key info";

export interface RecipientKeys {
  /** As it is registered. */
  publicKey: Uint8Array;
  /** @throws Error when the value was not wrapped for these keys, or for another purpose */
  unwrap(purpose: Purpose, wrapped: Uint8Array): Promise<Uint8Array>;
}

export function rsaRecipient(bits = 2048): RecipientKeys {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: bits });
  return {
    publicKey: publicKey.export({ format: "der", type: "spki" }),
    unwrap: async (_purpose, wrapped) => unwrapPkcs1(privateKey, wrapped),
  };
}

/** RSAES-PKCS1-v1_5 (RFC 8017, section 7.2.2); the runtime refuses to strip its padding. */
function unwrapPkcs1(privateKey: KeyObject, wrapped: Uint8Array): Uint8Array {
  const padded = privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, wrapped);
  const end = padded.indexOf(0, 2);
  if (padded[0] !== 0 || padded[1] !== 2 || end < 10) throw new Error("the padding is not that of PKCS#1 v1.5");
  return padded.subarray(end + 1);
}

const { subtle } = webcrypto;

const X25519_PKCS8_PREFIX = Buffer.from("302e020100300506032b656e04220420", "hex");
const X25519_SPKI_PREFIX = Buffer.from("302a300506032b656e032100", "hex");
const ML_KEM = { name: "ML-KEM-768" };
const CHACHA = "ChaCha20-Poly1305";
const XWING_LABEL = Buffer.from("5c2e2f2f5e5c", "hex");

/** The parts of an X-Wing key pair, expanded from its seed of 32 bytes. */
async function expandXwing(seed: Uint8Array) {
  const expanded = shake256(seed, { dkLen: 96 });
  const mlKem = await subtle.importKey("raw-seed", expanded.slice(0, 64), ML_KEM, true, ["decapsulateBits"]);
  const x25519 = createPrivateKey({
    key: Buffer.concat([X25519_PKCS8_PREFIX, expanded.subarray(64)]),
    format: "der",
    type: "pkcs8",
  });
  const x25519Public = createPublicKey(x25519).export({ format: "der", type: "spki" }).subarray(-32);
  return { mlKem, x25519, x25519Public };
}

export async function xwingRecipient(seed: Uint8Array = randomBytes(32)): Promise<RecipientKeys> {
  const { mlKem, x25519Public } = await expandXwing(seed);
  const mlKemPublic = await subtle.exportKey("raw-public", await subtle.getPublicKey(mlKem, ["encapsulateBits"]));
  const publicKey = Buffer.concat([Buffer.from("X"), new Uint8Array(mlKemPublic), x25519Public]);
  return { publicKey, unwrap: (purpose, wrapped) => openXwing(seed, publicKey, purpose, wrapped) };
}

/** X-Wing's decapsulation. @param encapsulation 1,120 bytes */
export async function decapsulateXwing(seed: Uint8Array, encapsulation: Uint8Array): Promise<Uint8Array> {
  const { mlKem, x25519, x25519Public } = await expandXwing(seed);
  const ephemeral = encapsulation.subarray(1088);
  const mlKemSecret = await subtle.decapsulateBits(ML_KEM, mlKem, encapsulation.slice(0, 1088));
  const x25519Secret = diffieHellman({
    privateKey: x25519,
    publicKey: createPublicKey({ key: Buffer.concat([X25519_SPKI_PREFIX, ephemeral]), format: "der", type: "spki" }),
  });
  return createHash("sha3-256")
    .update(new Uint8Array(mlKemSecret))
    .update(x25519Secret)
    .update(ephemeral)
    .update(x25519Public)
    .update(XWING_LABEL)
    .digest();
}

async function openXwing(
  seed: Uint8Array,
  publicKey: Uint8Array,
  purpose: Purpose,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  if (sealed[0] !== 0x58) throw new Error("the sealed value has another tag");
  const secret = await decapsulateXwing(seed, sealed.subarray(1, 1121));
  const keyAndNonce = hkdfSha256(secret, `entries-server x-wing 1 ${purpose}`, 44);
  const key = await subtle.importKey("raw-secret", keyAndNonce.slice(0, 32), CHACHA, false, ["decrypt"]);
  const algorithm = { name: CHACHA, iv: keyAndNonce.slice(32), additionalData: publicKey };
  return new Uint8Array(await subtle.decrypt(algorithm, key, sealed.slice(1121)));
}

/** RFC 5869 with an empty salt. */
function hkdfSha256(secret: Uint8Array, info: string, length: number): Uint8Array<ArrayBuffer> {
  const hmac = (key: Uint8Array, ...parts: Uint8Array[]) =>
    parts.reduce((mac, part) => mac.update(part), createHmac("sha256", key)).digest();
  const prk = hmac(Buffer.alloc(32), secret);
  const blocks: Buffer[] = [];
  for (let index = 1; index * 32 < length + 32; index++) {
    blocks.push(hmac(prk, blocks.at(-1) ?? Buffer.alloc(0), Buffer.from(info), Uint8Array.of(index)));
  }
  return new Uint8Array(Buffer.concat(blocks).subarray(0, length));
}
