/** X-Wing public keys and what is sealed for them: src/crypto/{recipientKey,xwing}.ts (issue 5, point 2). */
import { describe, expect, test } from "bun:test";
import { createHash, diffieHellman, generateKeyPairSync, randomBytes } from "node:crypto";
import { ml_kem768_x25519 } from "@noble/post-quantum/hybrid.js";
import { isRecipientPublicKey, isXwingPublicKey } from "../../src/crypto/recipientKey.ts";
import { SEAL_INFO, type SealPurpose, sealForXwing } from "../../src/crypto/xwing.ts";
import { decapsulateXwing, type Purpose, xwingRecipient } from "../support/recipientKeys.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** draft-connolly-cfrg-xwing-kem-08, appendix C, the first two; keys and ciphertexts by their first bytes and SHA-256. */
const VECTORS = [
  {
    seed: "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
    coins:
      "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2" +
      "35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
    publicKey: "e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5",
    publicKeyHash: "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb",
    ciphertext: "b83aa828d4d62b9a83ceffe1d3d3bb1ef31264643c070c5798927e41fb07914a",
    ciphertextHash: "17cd532d657e44c897ca6583e548a5424fc70bf54f99515a4d2bcf99e3469f33",
    secret: "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384",
  },
  {
    seed: "badfd6dfaac359a5efbb7bcc4b59d538df9a04302e10c8bc1cbf1a0b3a5120ea",
    coins:
      "17cda7cfad765f5623474d368ccca8af0007cd9f5e4c849f167a580b14aabdef" +
      "aee7eef47cb0fca9767be1fda69419dfb927e9df07348b196691abaeb580b32d",
    publicKey: "0333285fa253661508c9fb444852caa4061636cb060e69943b431400134ae1fb",
    publicKeyHash: "c42ba5f8430d7d2c83739338203819f090e8303ce9c8b02107c272bfa5376916",
    ciphertext: "c93beb22326705699bbc3d1d0aa6339be7a405debe61a7c337e1a91453c097a6",
    ciphertextHash: "1661ea86d608a1924ba30840cb0a65f13ae051e3aec9cf0f064efc0bc92f2154",
    secret: "f2e86241c64d60f6649fbc6c5b7d17180b780a3f34355e64a85749949c45f150",
  },
] as const;

/** Of this server: what is sealed for the key of the first vector, with its coins. */
const SEALED: readonly (readonly [SealPurpose, Purpose, plaintext: string, afterEncapsulation: string])[] = [
  [
    "acceptPrivateKey",
    "accept private key",
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "9974a9c2e0922ed0042f31cc6d31f37439de6ec21ff2960cfb2614b52866fad09c3f33b56dc026f357aa834528c67963",
  ],
  [
    "acceptKeyId",
    "accept key id",
    "018f0000000070008000000000000004",
    "23472ed93464ca611257f06ef166165b423a72717975c535682f18efbeb5718f",
  ],
  ["acceptKeyInfo", "accept key info", "08011084f4f6cb06", "20a3ec5c647c3fc269c766c2639d7bd9a3d59ce0cdb0d00a"],
];

describe.each(VECTORS)("X-Wing, the draft's vector $secret", (vector) => {
  test("noble makes its key, ciphertext and secret", () => {
    const { publicKey } = ml_kem768_x25519.keygen(bytesOf(vector.seed));
    expect(hex(publicKey.subarray(0, 32))).toBe(vector.publicKey);
    expect(sha256(publicKey)).toBe(vector.publicKeyHash);
    const { cipherText, sharedSecret } = ml_kem768_x25519.encapsulate(publicKey, bytesOf(vector.coins));
    expect(hex(cipherText.subarray(0, 32))).toBe(vector.ciphertext);
    expect(sha256(cipherText)).toBe(vector.ciphertextHash);
    expect(hex(sharedSecret)).toBe(vector.secret);
  });

  test("the same from ML-KEM-768 and X25519 of the runtime, put together by the draft's text", async () => {
    const { publicKey } = await xwingRecipient(bytesOf(vector.seed));
    expect(sha256(publicKey.subarray(1))).toBe(vector.publicKeyHash);
    const { cipherText } = ml_kem768_x25519.encapsulate(publicKey.subarray(1), bytesOf(vector.coins));
    expect(hex(await decapsulateXwing(bytesOf(vector.seed), cipherText))).toBe(vector.secret);
  });
});

describe("sealing", () => {
  const [first] = VECTORS;
  const recipient = xwingRecipient(bytesOf(first.seed));

  test.each(SEALED)(
    "%s: 0x58, the encapsulation, ciphertext and tag are those of the vector",
    async (purpose, opener, plain, rest) => {
      const { publicKey, unwrap } = await recipient;
      const sealed = sealForXwing(publicKey, purpose, bytesOf(plain), bytesOf(first.coins));
      expect(sealed).toHaveLength(1137 + plain.length / 2);
      expect(sealed[0]).toBe(0x58);
      expect(sha256(sealed.subarray(1, 1121))).toBe(first.ciphertextHash);
      expect(hex(sealed.subarray(1121))).toBe(rest);
      expect(hex(await unwrap(opener, sealed))).toBe(plain);
    },
  );

  test("the purposes of the vectors are all that there are", () => {
    expect(SEALED.map(([purpose]) => purpose).sort()).toEqual((Object.keys(SEAL_INFO) as SealPurpose[]).sort());
    expect(new Set(Object.values(SEAL_INFO)).size).toBe(SEALED.length);
  });

  test("each sealing is another one, and opens", async () => {
    const { publicKey, unwrap } = await recipient;
    const plain = randomBytes(32);
    const sealed = Array.from({ length: 5 }, () => sealForXwing(publicKey, "acceptKeyId", plain));
    expect(new Set(sealed.map(hex)).size).toBe(5);
    // Neither the encapsulations nor the ephemeral keys within them repeat.
    expect(new Set(sealed.map((value) => hex(value.subarray(1, 1089)))).size).toBe(5);
    expect(new Set(sealed.map((value) => hex(value.subarray(1089, 1121)))).size).toBe(5);
    for (const value of sealed) expect(hex(await unwrap("accept key id", value))).toBe(hex(plain));
  });

  test("an empty plaintext is sealed too", async () => {
    const { publicKey, unwrap } = await recipient;
    const sealed = sealForXwing(publicKey, "acceptKeyInfo", new Uint8Array(0));
    expect(sealed).toHaveLength(1137);
    expect(await unwrap("accept key info", sealed)).toHaveLength(0);
  });

  test("a value for one purpose opens for no other: the three cannot be swapped", async () => {
    const { publicKey, unwrap } = await recipient;
    for (const [purpose, opener] of SEALED) {
      const sealed = sealForXwing(publicKey, purpose, randomBytes(16));
      for (const [, other] of SEALED) {
        if (other !== opener) await expect(unwrap(other, sealed)).rejects.toThrow();
      }
    }
  });

  test("another recipient cannot open it, and no part of it can be changed", async () => {
    const { publicKey, unwrap } = await recipient;
    const sealed = sealForXwing(publicKey, "acceptKeyId", randomBytes(16));
    const stranger = await xwingRecipient();
    await expect(stranger.unwrap("accept key id", sealed)).rejects.toThrow();
    for (const at of [0, 1, 600, 1088, 1089, 1100, 1121, 1136, 1137, 1152]) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      await expect(unwrap("accept key id", changed)).rejects.toThrow();
    }
    await expect(unwrap("accept key id", sealed.subarray(0, -1))).rejects.toThrow();
  });
});

describe("X-Wing public keys", () => {
  const good = xwingRecipient();
  const changed = async (change: (key: Buffer) => void): Promise<Uint8Array> => {
    const key = Buffer.from((await good).publicKey);
    change(key);
    return key;
  };

  test("made by the runtime or by noble they are accepted", async () => {
    for (let round = 0; round < 20; round++) {
      expect(isRecipientPublicKey((await xwingRecipient()).publicKey)).toBe(true);
      const { publicKey } = ml_kem768_x25519.keygen();
      expect(isXwingPublicKey(Buffer.concat([Buffer.from("X"), publicKey]))).toBe(true);
    }
  });

  test("with another tag or length they are refused", async () => {
    const { publicKey } = await good;
    for (const tag of [0x30, 0x2d, 0x57, 0x59, 0x78, 0]) {
      expect(isRecipientPublicKey(await changed((key) => key.writeUInt8(tag, 0)))).toBe(false);
    }
    const wrongLengths = [
      publicKey.subarray(1),
      publicKey.subarray(0, -1),
      Buffer.concat([publicKey, Buffer.alloc(1)]),
    ];
    for (const key of [...wrongLengths, publicKey.subarray(0, 1), new Uint8Array(0)]) {
      expect(isRecipientPublicKey(key)).toBe(false);
    }
  });

  test("FIPS 203 section 7.2: a number of q or more, at any place and in either half of three bytes, is refused", async () => {
    for (const at of [1, 4, 577, 1150]) {
      for (const [number, isFine] of [
        [3328, true],
        [3329, false],
        [4095, false],
      ] as const) {
        const low = await changed((key) => {
          key[at] = number & 0xff;
          key[at + 1] = ((key[at + 1] ?? 0) & 0xf0) | (number >> 8);
        });
        const high = await changed((key) => {
          key[at + 1] = ((key[at + 1] ?? 0) & 0x0f) | ((number & 0x0f) << 4);
          key[at + 2] = number >> 4;
        });
        for (const key of [low, high]) {
          expect(isXwingPublicKey(key)).toBe(isFine);
          const encapsulate = () => ml_kem768_x25519.encapsulate(key.subarray(1));
          if (isFine) expect(encapsulate).not.toThrow();
          else expect(encapsulate).toThrow("modulus");
        }
      }
    }
  });

  test("the seed of the matrix may be anything", async () => {
    expect(isXwingPublicKey(await changed((key) => key.fill(0xff, 1153, 1185)))).toBe(true);
  });

  /** RFC 7748 section 6.1 and draft-irtf-cfrg-cpace: 0, 1, two points of order 8, and p-1, p, p+1. */
  const LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ];

  test.each(LOW_ORDER)("the X25519 point %s of low order is refused, with its top bit set as well", async (point) => {
    for (const top of [0, 0x80]) {
      const key = await changed((bytes) => {
        bytes.write(point, 1185, "hex");
        bytes[1216] = (bytes[1216] ?? 0) | top;
      });
      expect(isXwingPublicKey(key)).toBe(false);
    }
  });

  test("the X25519 point next to one of low order is accepted", async () => {
    const { publicKey } = generateKeyPairSync("x25519");
    expect(() => diffieHellman({ privateKey: generateKeyPairSync("x25519").privateKey, publicKey })).not.toThrow();
    expect(isXwingPublicKey(await changed((key) => key.fill(0, 1185).writeUInt8(9, 1185)))).toBe(true);
  });
});
