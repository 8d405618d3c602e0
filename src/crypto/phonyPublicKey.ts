/**
 * Public keys for addresses without an account (decision A6): what a client gets has the form of a real RSA-3072 key
 * (SubjectPublicKeyInfo, RFC 5280 section 4.1, over RSAPublicKey, RFC 8017 appendix A.1.1), but nobody has the private
 * half. Derived from a key of the server's and the address, so it is constant per address.
 */
import { createHmac } from "node:crypto";
import { parseUuidBytes } from "./uuid.ts";

const MODULUS_BYTES = 384;
const FACTOR_BYTES = MODULUS_BYTES / 2;
/** HMAC-SHA512 gives 64 bytes at a time. */
const BLOCK_BYTES = 64;
/** Trial division by primes up to this finds no factor, as in a real modulus. */
const SMALL_PRIME_MAX = 1000;
const SMALL_PRIMES = oddPrimesUpTo(SMALL_PRIME_MAX);

/** Everything of the DER form before the modulus, which begins with a zero byte since its top bit is set. */
const DER_BEFORE_MODULUS = Buffer.from(
  [
    "308201a2", // SEQUENCE, the SubjectPublicKeyInfo
    "300d06092a864886f70d0101010500", // SEQUENCE of rsaEncryption and NULL, the algorithm
    "0382018f00", // BIT STRING, no unused bits
    "3082018a", // SEQUENCE, the RSAPublicKey
    "0282018100", // INTEGER, the modulus
  ].join(""),
  "hex",
);
/** INTEGER 65537, the exponent. */
const DER_AFTER_MODULUS = Buffer.from("0203010001", "hex");

/** Ids look as if made within these years, in milliseconds since the epoch. Fixed: an id must never change. */
const ID_TIME_START_MS = Date.UTC(2025, 0, 1);
const ID_TIME_END_MS = Date.UTC(2026, 6, 1);

export interface PhonyPublicKey {
  /** In the form of a version 7 UUID (RFC 9562). */
  id: string;
  /** 422 bytes. */
  value: Uint8Array;
}

/**
 * Makes up the public key of an address, in well under a millisecond.
 *
 * @param key of the server's, 32 bytes
 * @param address in lower case; any text
 */
export function phonyPublicKey(key: Uint8Array, address: string): PhonyPublicKey {
  // As a real modulus it is a product of two numbers of half its size: that also gives its top bits their frequencies.
  const modulus = phonyPrime(key, `p\n${address}`) * phonyPrime(key, `q\n${address}`);
  const value = Buffer.concat([DER_BEFORE_MODULUS, Buffer.from(modulus.toString(16), "hex"), DER_AFTER_MODULUS]);
  return { id: phonyId(key, address), value };
}

/** An odd number of 1536 bits, the two highest set as in RSA keys, without a small factor. */
function phonyPrime(key: Uint8Array, label: string): bigint {
  const bytes = derive(key, `public key ${label}`, FACTOR_BYTES);
  bytes[0] = (bytes[0] ?? 0) | 0xc0;
  bytes[FACTOR_BYTES - 1] = (bytes[FACTOR_BYTES - 1] ?? 0) | 1;
  const base = BigInt(`0x${bytes.toString("hex")}`);
  const remainders = SMALL_PRIMES.map((prime) => Number(base % BigInt(prime)));
  let step = 0;
  while (SMALL_PRIMES.some((prime, index) => ((remainders[index] ?? 0) + step) % prime === 0)) step += 2;
  return base + BigInt(step);
}

function phonyId(key: Uint8Array, address: string): string {
  const bytes = derive(key, `public key id\n${address}`, BLOCK_BYTES);
  const timeMs = ID_TIME_START_MS + (bytes.readUIntBE(16, 6) % (ID_TIME_END_MS - ID_TIME_START_MS));
  bytes.writeUIntBE(timeMs, 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return parseUuidBytes(bytes.subarray(0, 16));
}

/** HMAC-SHA512 (RFC 2104) in counter mode: as many bytes as wanted. */
function derive(key: Uint8Array, label: string, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / BLOCK_BYTES) }, (_, index) =>
    createHmac("sha512", key).update(`${index}\n${label}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

function oddPrimesUpTo(max: number): number[] {
  const primes: number[] = [];
  for (let candidate = 3; candidate <= max; candidate += 2) {
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate);
  }
  return primes;
}
