/** The one function that wraps secrets for recipients, whatever their key is (containers.md 5.1, decision C5). */
import { describe, expect, test } from "bun:test";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { wrapForRecipient } from "../../src/crypto/wrapForRecipient.ts";
import { ApiError } from "../../src/errors.ts";
import { rsaRecipient, xwingRecipient } from "../support/recipientKeys.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("for an RSA key", () => {
  test.each([512, 1024, 2048, 3072])(
    "of %d bits: RSAES-PKCS1-v1_5, as long as the modulus, without anything else (5.1)",
    async (bits) => {
      const { publicKey, unwrap } = rsaRecipient(bits);
      const secret = randomBytes(32);
      const wrapped = await wrapForRecipient(publicKey, "acceptPrivateKey", secret);
      expect(wrapped).toHaveLength(bits / 8);
      expect(hex(await unwrap("accept private key", wrapped))).toBe(hex(secret));
      expect(hex(await wrapForRecipient(publicKey, "acceptPrivateKey", secret))).not.toBe(hex(wrapped));
    },
  );
});

test("for an X-Wing key: sealed for the purpose", async () => {
  const { publicKey, unwrap } = await xwingRecipient();
  const secret = randomBytes(16);
  const wrapped = await wrapForRecipient(publicKey, "acceptKeyId", secret);
  expect(wrapped).toHaveLength(1137 + 16);
  expect(hex(await unwrap("accept key id", wrapped))).toBe(hex(secret));
  await expect(unwrap("accept key info", wrapped)).rejects.toThrow();
});

test("for anything else: INCORRECTLY_FORMED", async () => {
  const der = (type: "ed25519" | "x25519") =>
    generateKeyPairSync(type as "ed25519").publicKey.export({ format: "der", type: "spki" });
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
  const { publicKey: xwing } = await xwingRecipient();
  const keys = [
    new Uint8Array(0),
    randomBytes(294),
    der("ed25519"),
    der("x25519"),
    rsa.export({ format: "der", type: "pkcs1" }),
    Buffer.from(rsa.export({ format: "pem", type: "spki" })),
    Buffer.concat([rsa.export({ format: "der", type: "spki" }), Buffer.alloc(1)]),
    xwing.subarray(1),
    Buffer.concat([Buffer.from("Y"), xwing.subarray(1)]),
    Buffer.concat([Buffer.from("X"), Buffer.alloc(1216, 0xff)]),
  ];
  for (const key of keys) {
    const error = await wrapForRecipient(key, "acceptKeyId", randomBytes(16)).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).type).toBe("INCORRECTLY_FORMED");
  }
});

test("sealing many at once lets others have their turn between two of them", async () => {
  const { publicKey } = await xwingRecipient();
  await wrapForRecipient(publicKey, "acceptKeyId", randomBytes(16)); // loads the code
  const finishedAt: number[] = [];
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const many = Array.from({ length: 60 }, async () => {
    await wrapForRecipient(publicKey, "acceptKeyId", randomBytes(16));
    finishedAt.push(turns);
  });
  await Promise.all(many);
  clearInterval(timer);
  // Done in one go, all of them would end in the same turn.
  expect(new Set(finishedAt).size).toBeGreaterThan(20);
});
