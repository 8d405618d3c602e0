import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { createPasswords } from "../../src/crypto/passwords.ts";
import { isRecipientPublicKey } from "../../src/crypto/recipientKey.ts";
import { ApiError } from "../../src/errors.ts";

const PEPPER = Uint8Array.from({ length: 32 }, (_, index) => index);
const settings = { pepper: PEPPER, memCostKib: 19_456, iterations: 2, queueMax: 64 };
const passwords = createPasswords(settings);
const REFERENCE_HASH =
  "$argon2id$v=19$m=128,t=2,p=1$oKGio6SlpqeoqaqrrK2urw$TzHoikZ/cgVFcpcXUMvseFA9m+qMiMXVG7Vr+29kgmY";
const SECRET = Buffer.from("auth-string");

describe("password hashes, decision A1", () => {
  test("the reference's vector (accounts.md 14) verifies and counts as outdated", async () => {
    expect(await passwords.verify(REFERENCE_HASH, SECRET)).toBe(true);
    expect(await passwords.verify(REFERENCE_HASH, Buffer.from("auth-strinG"))).toBe(false);
    expect(passwords.isOutdated(REFERENCE_HASH)).toBe(true);
  });

  test("without the pepper the reference's vector does not verify", async () => {
    const others = createPasswords({ ...settings, pepper: new Uint8Array(32) });

    expect(await others.verify(REFERENCE_HASH, SECRET)).toBe(false);
  });

  test("a new hash tells its scheme and cost, fits its column and depends on the pepper", async () => {
    const hash = await passwords.hash(SECRET);
    const others = createPasswords({ ...settings, pepper: new Uint8Array(32) });

    expect(hash).toMatch(/^v2:\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(hash.length).toBeLessThanOrEqual(128);
    expect(await passwords.verify(hash, SECRET)).toBe(true);
    expect(await passwords.verify(hash, Buffer.from("other"))).toBe(false);
    expect(await others.verify(hash, SECRET)).toBe(false);
    expect(passwords.isOutdated(hash)).toBe(false);
  });

  test("a stored string of neither scheme is an error, not a wrong password", async () => {
    await expect(passwords.verify("$argon2i$v=16$m=1,t=1,p=1$AAAA$AAAA", SECRET)).rejects.toThrow("argon2id");
  });

  test("A6: without an account the same work is done", async () => {
    const hash = await passwords.hash(SECRET);
    await passwords.verify(undefined, SECRET); // makes the decoy
    const times = { known: [] as number[], unknown: [] as number[] };
    for (let round = 0; round < 15; round++) {
      for (const [kind, stored] of [
        ["known", hash],
        ["unknown", undefined],
      ] as const) {
        const startedAt = performance.now();
        expect(await passwords.verify(stored, Buffer.from("wrong"))).toBe(false);
        times[kind].push(performance.now() - startedAt);
      }
    }
    const ratio = median(times.known) / median(times.unknown);

    expect(ratio).toBeGreaterThan(0.5);
    expect(ratio).toBeLessThan(2);
  });

  test("beyond the bound of the queue: 503 with Retry-After, and the others are served", async () => {
    const bounded = createPasswords({ ...settings, queueMax: 3 });
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => bounded.hash(SECRET)));
    const refused = results.flatMap((result) => (result.status === "rejected" ? [result.reason as ApiError] : []));

    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThanOrEqual(17);
    for (const error of refused) {
      expect(error).toBeInstanceOf(ApiError);
      expect(error.status).toBe(503);
      expect(error.headers["retry-after"]).toMatch(/^\d+$/);
    }
    expect(bounded.pending()).toBe(0);
    expect(await bounded.hash(SECRET)).toStartWith("v2:");
  });
});

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

describe("public keys of accounts, decision C5", () => {
  const spki = (bits: number) =>
    generateKeyPairSync("rsa", { modulusLength: bits }).publicKey.export({ format: "der", type: "spki" });

  test("RSA of 2048 bits or more is accepted", () => {
    expect(isRecipientPublicKey(spki(2048))).toBe(true);
  });

  test("smaller RSA, other forms, other types, trailing bytes and junk are refused", () => {
    const pkcs1 = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({
      format: "der",
      type: "pkcs1",
    });
    const ed25519 = generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" });

    expect(isRecipientPublicKey(spki(1024))).toBe(false);
    expect(isRecipientPublicKey(pkcs1)).toBe(false);
    expect(isRecipientPublicKey(ed25519)).toBe(false);
    expect(isRecipientPublicKey(Buffer.concat([spki(2048), Buffer.alloc(1)]))).toBe(false);
    expect(isRecipientPublicKey(new Uint8Array(0))).toBe(false);
    expect(isRecipientPublicKey(Buffer.alloc(422, 0x30))).toBe(false);
  });
});
