import { describe, expect, test } from "bun:test";
import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import { Point } from "@noble/ed25519";
import { isStrictPublicKey, verifyStrict } from "../../src/crypto/ed25519.ts";

const SEED = Uint8Array.from({ length: 32 }, (_, index) => index);
const PRIVATE_KEY = createPrivateKey({
  key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), SEED]),
  format: "der",
  type: "pkcs8",
});
const PUBLIC_KEY = Buffer.from("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", "hex");
const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const MESSAGE = Buffer.from("the bytes that were signed");

/** Every encoding of a point of small order: seven, each also with the sign bit set (containers.md 2.3). */
const SMALL_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].flatMap((hex) => {
  const withSign = Buffer.from(hex, "hex");
  withSign.writeUInt8(withSign.readUInt8(31) | 0x80, 31);
  return [hex, withSign.toString("hex")];
});

function toLittleEndian(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse();
}

function fromLittleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
}

describe("Ed25519, RFC 8032 section 7.1", () => {
  test.each([
    [
      "TEST 1, empty message",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
      "TEST 2, one byte",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
  ])("%s", (_name, key, message, signature) => {
    const [keyBytes, messageBytes, signatureBytes] = [key, message, signature].map((hex) => Buffer.from(hex, "hex"));

    expect(verifyStrict(keyBytes as Buffer, messageBytes as Buffer, signatureBytes as Buffer)).toBe(true);
    expect(isStrictPublicKey(keyBytes as Buffer)).toBe(true);
  });
});

describe("strict verification, containers.md 2.3", () => {
  const good = sign(null, MESSAGE, PRIVATE_KEY);

  test("a good signature passes, and no other message or key with it", () => {
    expect(verifyStrict(PUBLIC_KEY, MESSAGE, good)).toBe(true);
    expect(verifyStrict(PUBLIC_KEY, Buffer.from("other"), good)).toBe(false);
    expect(verifyStrict(rawKeyOfSeed(9), MESSAGE, good)).toBe(false);
  });

  test("every bit of a signature counts", () => {
    for (let bit = 0; bit < 512; bit++) {
      const damaged = Buffer.from(good);
      damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(verifyStrict(PUBLIC_KEY, MESSAGE, damaged)).toBe(false);
    }
  });

  test.each([1n, 2n, 7n, 14n])("rule 1: S + %d times the group order is refused", (times) => {
    const s = fromLittleEndian(good.subarray(32)) + times * GROUP_ORDER;
    const forged = Buffer.concat([good.subarray(0, 32), toLittleEndian(s)]);

    expect(verifyStrict(PUBLIC_KEY, MESSAGE, forged)).toBe(false);
  });

  test("rule 2: R of small order is refused although the equation holds", () => {
    const token = Buffer.from(
      "eyJraWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJiaWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDIiLCJleHAiOjQxMDI0NDQ4MDB9AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABUaIhoIgZxJLoYc_5EsbYLc3KGFWarfwev5P9GrNTtBA==",
      "base64url",
    );

    expect(verifyStrict(PUBLIC_KEY, token.subarray(0, -64), token.subarray(-64))).toBe(false);
  });

  test.each(SMALL_ORDER)("rule 3: the small-order key %s signs nothing and cannot be registered", (hex) => {
    const key = Buffer.from(hex, "hex");
    // With such a key R = key and S = 0 satisfies the equation for many messages.
    const forgeries = SMALL_ORDER.map((r) => Buffer.concat([Buffer.from(r, "hex"), Buffer.alloc(32)]));

    expect(isStrictPublicKey(key)).toBe(false);
    for (let attempt = 0; attempt < 16; attempt++) {
      const message = Buffer.from(`any message ${attempt}`);
      for (const signature of forgeries) expect(verifyStrict(key, message, signature)).toBe(false);
    }
  });

  test.each(SMALL_ORDER)("rule 2: R = %s is refused", (hex) => {
    const signature = Buffer.concat([Buffer.from(hex, "hex"), good.subarray(32)]);

    expect(verifyStrict(PUBLIC_KEY, MESSAGE, signature)).toBe(false);
  });

  test("keys and signatures of other lengths are refused, not cut", () => {
    expect(verifyStrict(Buffer.concat([PUBLIC_KEY, Buffer.alloc(1)]), MESSAGE, good)).toBe(false);
    expect(verifyStrict(PUBLIC_KEY.subarray(1), MESSAGE, good)).toBe(false);
    expect(verifyStrict(PUBLIC_KEY, MESSAGE, Buffer.concat([good, Buffer.alloc(1)]))).toBe(false);
    expect(verifyStrict(PUBLIC_KEY, MESSAGE, good.subarray(1))).toBe(false);
  });
});

describe("registration of public keys, decision W9", () => {
  test("32 bytes, on the curve, canonical", () => {
    expect(isStrictPublicKey(PUBLIC_KEY)).toBe(true);
    for (const length of [0, 31, 33, 64]) expect(isStrictPublicKey(Buffer.alloc(length, 3))).toBe(false);
  });

  test("a y that is no point of the curve is refused", () => {
    expect(isStrictPublicKey(Buffer.from(`02${"00".repeat(31)}`, "hex"))).toBe(false);
  });

  test("a non-canonical encoding (y >= p) is refused", () => {
    const p = 2n ** 255n - 19n;
    const smallY = [3n, 4n, 5n, 6n].find((y) => isOnCurve(toLittleEndian(y)));

    expect(smallY).toBeDefined();
    expect(isStrictPublicKey(toLittleEndian(p + (smallY ?? 0n)))).toBe(false);
  });
});

function isOnCurve(bytes: Uint8Array): boolean {
  try {
    Point.fromBytes(bytes, false);
    return true;
  } catch {
    return false;
  }
}

function rawKeyOfSeed(first: number): Uint8Array {
  const seed = Buffer.alloc(32, first);
  const pkcs8 = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  const key = createPublicKey(createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" }));
  return key.export({ format: "der", type: "spki" }).subarray(-32);
}
