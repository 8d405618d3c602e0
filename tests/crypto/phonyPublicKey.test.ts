import { describe, expect, test } from "bun:test";
import { constants, createHash, createPublicKey, publicEncrypt } from "node:crypto";
import { phonyPublicKey } from "../../src/crypto/phonyPublicKey.ts";
import { isRecipientPublicKey } from "../../src/crypto/recipientKey.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, index) => index);
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const MANY = Array.from({ length: 400 }, (_, index) => phonyPublicKey(KEY, `user-${index}@example.com`));

/** The modulus as node reads it, so that the test does not trust our own idea of the layout. */
function modulusOf(value: Uint8Array): bigint {
  const jwk = createPublicKey({ key: Buffer.from(value), format: "der", type: "spki" }).export({ format: "jwk" });
  return BigInt(`0x${Buffer.from(jwk.n ?? "", "base64url").toString("hex")}`);
}

describe("A6, S3: phony public keys", () => {
  test("constant per key and address: a vector that no version of the server may change", () => {
    const { id, value } = phonyPublicKey(KEY, "user@example.com");
    expect({ id, hash: createHash("sha256").update(value).digest("hex") }).toEqual({
      id: "01956b3d-333e-70b7-80c6-3a98f1075286",
      hash: "d79272c30e165c069f3d7cca36b982942e9fe0d313cbdce051c5a291ac38c3ce",
    });
    expect(phonyPublicKey(KEY, "user@example.com")).toEqual({ id, value });
  });

  test("another address or another key of the server gives another key and id", () => {
    expect(new Set(MANY.map(({ id }) => id)).size).toBe(MANY.length);
    expect(new Set(MANY.map(({ value }) => Buffer.from(value).toString("hex"))).size).toBe(MANY.length);
    const other = phonyPublicKey(new Uint8Array(32), "user-0@example.com");
    expect(other.id).not.toBe(MANY[0]?.id ?? "");
    expect(other.value).not.toEqual(MANY[0]?.value as Uint8Array);
  });

  test("RFC 5280, RFC 8017: node reads each as an RSA key of exactly 3072 bits with exponent 65537, and writes it alike", () => {
    for (const { value } of MANY) {
      const key = createPublicKey({ key: Buffer.from(value), format: "der", type: "spki" });
      expect(key.asymmetricKeyType).toBe("rsa");
      expect(key.asymmetricKeyDetails).toEqual({ modulusLength: 3072, publicExponent: 65537n });
      expect(key.export({ format: "der", type: "spki" }).equals(value)).toBe(true);
      expect(isRecipientPublicKey(value)).toBe(true);
      expect(modulusOf(value).toString(2)).toHaveLength(3072);
    }
  });

  test("a client can wrap something for it", () => {
    const { value } = phonyPublicKey(KEY, "user@example.com");
    const key = createPublicKey({ key: Buffer.from(value), format: "der", type: "spki" });
    expect(publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, Buffer.from("secret"))).toHaveLength(384);
  });

  test("no modulus has a divisor under 1000, as no real one has", () => {
    const product = Array.from({ length: 998 }, (_, index) => BigInt(index + 2)).reduce((all, one) => all * one, 1n);
    expect(MANY.filter(({ value }) => greatestCommonDivisor(product, modulusOf(value)) !== 1n)).toEqual([]);
  });

  test("the top byte is one that real moduli have: the product of two factors whose two top bits are set", () => {
    const tops = MANY.map(({ value }) => Number(modulusOf(value) >> 3064n));
    expect(Math.min(...tops)).toBeGreaterThanOrEqual(0x90);
    expect(new Set(tops).size).toBeGreaterThan(60);
  });

  test("the id has the form of a version 7 UUID of a time that is past, and differs in every part", () => {
    const times = MANY.map(({ id }) => Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16));
    for (const { id } of MANY) expect(id).toMatch(UUID_V7);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(Date.UTC(2025, 0, 1));
    expect(Math.max(...times)).toBeLessThan(Date.UTC(2026, 6, 1));
    const monthMs = 30 * 86_400_000;
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(12 * monthMs);
    for (const part of [0, 2, 3, 4])
      expect(new Set(MANY.map(({ id }) => id.split("-")[part])).size).toBeGreaterThan(300);
  });

  test("any text has one", () => {
    for (const text of ["", "\u{fffd}", "x".repeat(10_000), "ä@例え"]) {
      expect(phonyPublicKey(KEY, text).value).toHaveLength(422);
    }
  });

  test("it takes under a millisecond", () => {
    const startedAt = performance.now();
    for (let index = 0; index < 200; index++) phonyPublicKey(KEY, `timed-${index}@example.com`);
    expect((performance.now() - startedAt) / 200).toBeLessThan(1);
  });
});

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}
