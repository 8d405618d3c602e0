import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { seal, unseal } from "../../src/crypto/sealedBytes.ts";

const KEY = randomBytes(16);

test("SP 800-38D: opens test case 3 of the GCM specification", () => {
  const key = Buffer.from("feffe9928665731c6d6a8f9467308308", "hex");
  const nonce = "cafebabefacedbaddecaf888";
  const ciphertext =
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985";
  const tag = "4d5c2af327cd64a62cf35abd2ba6fab4";
  const plaintext =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
  expect(unseal(key, Buffer.from(nonce + ciphertext + tag, "hex"), "")?.toHex()).toBe(plaintext);
});

test("what was sealed opens with the same key for the same purpose, and is 28 bytes longer", () => {
  for (const length of [0, 1, 20, 1000]) {
    const secret = randomBytes(length);
    const sealed = seal(KEY, secret, "for tests");
    expect(sealed).toHaveLength(length + 28);
    expect(unseal(KEY, sealed, "for tests")?.toHex()).toBe(secret.toHex());
  }
});

test("with another key, for another purpose, cut, or with any bit changed it does not open", () => {
  const sealed = seal(KEY, randomBytes(20), "for tests");
  expect(unseal(randomBytes(16), sealed, "for tests")).toBeUndefined();
  expect(unseal(KEY, sealed, "for another test")).toBeUndefined();
  for (let length = 0; length < sealed.length; length++) {
    expect(unseal(KEY, sealed.subarray(0, length), "for tests")).toBeUndefined();
  }
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Uint8Array.from(sealed);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(unseal(KEY, changed, "for tests")).toBeUndefined();
  }
});

test("sealing the same twice gives nothing to compare", () => {
  const secret = randomBytes(20);
  const nonces = Array.from({ length: 100 }, () => seal(KEY, secret, "").toHex().slice(0, 24));
  expect(new Set(nonces).size).toBe(100);
});
