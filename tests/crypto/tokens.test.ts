import { describe, expect, test } from "bun:test";
import { createHmac, randomUUID } from "node:crypto";
import { decodeBase64Url, encodeBase64Url } from "../../src/crypto/base64url.ts";
import { parseClaims, uint64Claim, uuidClaim } from "../../src/crypto/claims.ts";
import { decodeContainerToken, verifyContainerToken } from "../../src/crypto/containerTokens.ts";
import { createUserTokens, type TokenType } from "../../src/crypto/userTokens.ts";
import { ApiError } from "../../src/errors.ts";

const SIGNING_KEY = Uint8Array.from({ length: 64 }, (_, index) => index);
const tokens = createUserTokens(SIGNING_KEY, new Uint8Array(16).fill(9));
const USER = "018f3c5e-7b1a-7c3d-9e2f-0123456789ab";
const FAR = 4_102_444_800;
const ACCESS_VECTOR =
  "eyJ1aWQiOiIwMThmM2M1ZS03YjFhLTdjM2QtOWUyZi0wMTIzNDU2Nzg5YWIiLCJlbWwiOiJ1c0BleGFtcGxlLmNvbSIsImV4cCI6NDEwMjQ0NDgwMCwidHlwIjoiQWNjZXNzIn2vKEWziOs1GPMGln2Ffp-CXvXrlmzBlXk-cjJ2D7Ckjw==";

function errorOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ApiError) return error.type;
    throw error;
  }
  return "none";
}

const verify = (text: string, type: TokenType = "Access", nowSecs = 1_700_000_000) =>
  tokens.verify(tokens.decode(text), type, nowSecs);

function signed(claims: string): string {
  const bytes = Buffer.from(claims);
  return encodeBase64Url(Buffer.concat([bytes, createHmac("sha256", SIGNING_KEY).update(bytes).digest()]));
}

describe("tokens of the reference, accounts.md 14", () => {
  test("the access token vector verifies, by its user id", () => {
    expect(verify(ACCESS_VECTOR)).toMatchObject({ user_id: USER, session_id: undefined, expirationSecs: FAR });
  });

  test("the same text without padding is refused", () => {
    expect(errorOf(() => tokens.decode(ACCESS_VECTOR.slice(0, -2)))).toBe("INCORRECT_CREDENTIAL");
  });
});

describe("tokens of our own, decision A2", () => {
  const session_id = randomUUID();
  const issue = (type: TokenType, expirationSecs = FAR) =>
    tokens.issue({ type, user_id: USER, bound_to: session_id, expirationSecs });

  test("a token verifies and says what it was made of", () => {
    expect(verify(issue("Access").text)).toMatchObject({ user_id: USER, session_id, expirationSecs: FAR });
  });

  test("only expiry, type, a random id and ciphertext are in clear", () => {
    const text = Buffer.from(issue("Access").text, "base64url").subarray(0, -32).toString();

    expect(Object.keys(JSON.parse(text))).toEqual(["exp", "typ", "jti", "enc"]);
    expect(text).not.toContain(USER);
  });

  test("C8: two tokens made in one second differ", () => {
    expect(issue("Refresh").text).not.toBe(issue("Refresh").text);
  });

  test("another encryption key refuses the token", () => {
    const others = createUserTokens(SIGNING_KEY, new Uint8Array(16).fill(8));

    expect(errorOf(() => others.verify(others.decode(issue("Access").text), "Access", 1))).toBe("INCORRECT_CREDENTIAL");
  });

  test("stage B, accounts.md 2.3: signature before expiry before type", () => {
    const old = issue("Refresh", 1_600_000_000).text;
    const bytes = Buffer.from(old, "base64url");
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);

    expect(errorOf(() => verify(encodeBase64Url(bytes), "Access"))).toBe("INCORRECT_CREDENTIAL");
    expect(errorOf(() => verify(old, "Access"))).toBe("TOKEN_EXPIRED");
    expect(errorOf(() => verify(issue("Refresh").text, "Access"))).toBe("WRONG_TOKEN_TYPE");
  });

  test("a token expires in the second that it names", () => {
    const text = issue("Access", 1_700_000_000).text;

    expect(errorOf(() => verify(text, "Access", 1_699_999_999))).toBe("none");
    expect(errorOf(() => verify(text, "Access", 1_700_000_000))).toBe("TOKEN_EXPIRED");
  });
});

describe("stage A, accounts.md 2.3", () => {
  const claims = { uid: USER, eml: "us@example.com", exp: FAR, typ: "Access" };

  test.each([
    ["empty", ""],
    ["8193 characters", "A".repeat(8193)],
    ["standard alphabet", "++++"],
    ["white space", `${ACCESS_VECTOR} `],
    ["only a MAC", encodeBase64Url(Buffer.alloc(32))],
    ["no JSON", signed("claims")],
    ["W18: claims as an array", signed(`["${USER}","us@example.com",${FAR},"Access"]`)],
    ["a missing claim", signed(JSON.stringify({ ...claims, eml: undefined }))],
    ["a claim given twice", signed(`{"uid":"${USER}","uid":"${USER}","eml":"a@b.cd","exp":${FAR},"typ":"Access"}`)],
    ["an unknown type", signed(JSON.stringify({ ...claims, typ: "Admin" }))],
    ["a negative expiry", signed(JSON.stringify({ ...claims, exp: -1 }))],
    ["an expiry with a fraction", signed(JSON.stringify({ ...claims, exp: 1.5 }))],
    ["an expiry as text", signed(JSON.stringify({ ...claims, exp: "1" }))],
    ["invalid UTF-8", signedBytes(Buffer.from([0x7b, 0xff, 0x7d]))],
  ])("%s is undecodable", (_name, text) => {
    expect(errorOf(() => tokens.decode(text))).toBe("INCORRECT_CREDENTIAL");
  });

  test("unknown extra claims and another order are fine", () => {
    const text = signed(
      `{ "typ":"Access", "more":[{"exp":1}], "exp":${FAR}, "eml":"us@example.com", "uid":"${USER}" }`,
    );

    expect(verify(text).user_id).toBe(USER);
  });
});

function signedBytes(bytes: Uint8Array): string {
  return encodeBase64Url(Buffer.concat([bytes, createHmac("sha256", SIGNING_KEY).update(bytes).digest()]));
}

describe("container access tokens, containers.md 2", () => {
  const KEY = Buffer.from("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", "hex");
  const GOOD =
    "eyJraWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJiaWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDIiLCJleHAiOjQxMDI0NDQ4MDB9ccszCcXhfDK5Qg6WY7ngsVW7751EGuKaBfsDxp-3hoxBB-0BaxV51G_KmWp08U7I29RzePusSny3Bmfsc4CaBg==";
  const SENDER =
    "eyJpaWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDMiLCJleHAiOjQxMDI0NDQ4MDB9n1i_MaKZUVV2nxDHjrSiZbiZEfnHhl8wgb4hKwQ3Bd-2l22-5SDWwHY_jC28JwoZZDH892tMdYOK3fToD9dfCw==";
  const check = (text: string, nowSecs: number) => {
    const token = decodeContainerToken(text);
    return errorOf(() => token && verifyContainerToken(token, KEY, nowSecs));
  };

  test("2.4: the good vector passes until its second of expiry", () => {
    expect(decodeContainerToken(GOOD)).toMatchObject({
      key_id: "018f0000-0000-7000-8000-000000000001",
      container_id: "018f0000-0000-7000-8000-000000000002",
    });
    expect(check(GOOD, FAR - 1)).toBe("none");
    expect(check(GOOD, FAR)).toBe("TOKEN_EXPIRED");
  });

  test("2.2: a bad signature is worse than a past expiry", () => {
    const bytes = Buffer.from(GOOD, "base64url");
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);

    expect(check(encodeBase64Url(bytes), FAR + 1)).toBe("INCORRECT_CREDENTIAL");
  });

  test("another kind of token lacks a claim and is undecodable", () => {
    expect(decodeContainerToken(SENDER)).toBeUndefined();
  });

  test("8192 characters may be a token, 8193 may not", () => {
    const claims = JSON.stringify({ kid: USER, bid: USER, exp: FAR });
    const textOf = (length: number) => {
      const padded = Buffer.alloc((length / 4) * 3 - 64, " ");
      padded.write(claims);
      return encodeBase64Url(Buffer.concat([padded, Buffer.alloc(64)]));
    };

    expect(textOf(8192)).toHaveLength(8192);
    expect(decodeContainerToken(textOf(8192))).toBeDefined();
    expect(decodeContainerToken(textOf(8196))).toBeUndefined();
  });
});

describe("claims, containers.md 2.1", () => {
  const claimsOf = (json: string) => parseClaims(Buffer.from(json)) ?? new Map<string, string>();

  test.each([
    ["hyphenated, any case", "018F3c5e-7b1a-7c3d-9e2f-0123456789AB"],
    ["without hyphens", "018f3c5e7b1a7c3d9e2f0123456789ab"],
    ["in braces", "{018f3c5e-7b1a-7c3d-9e2f-0123456789ab}"],
    ["as a URN", "urn:uuid:018f3c5e-7b1a-7c3d-9e2f-0123456789ab"],
  ])("a UUID %s is accepted", (_form, text) => {
    expect(uuidClaim(claimsOf(JSON.stringify({ kid: text })), "kid")).toBe(USER);
  });

  test.each(["018f3c5e7b1a-7c3d-9e2f-0123456789ab", "", "{018f3c5e7b1a7c3d9e2f0123456789ab}", "018f3c5e"])(
    "the text %p is no UUID",
    (text) => {
      expect(uuidClaim(claimsOf(JSON.stringify({ kid: text })), "kid")).toBeUndefined();
    },
  );

  test.each([
    ["0", 0n],
    ["18446744073709551615", 2n ** 64n - 1n],
  ])("exp %s is accepted", (text, value) => {
    expect(uint64Claim(claimsOf(`{"exp":${text}}`), "exp")).toBe(value);
  });

  test.each(["18446744073709551616", "1.0", "1e3", "-0", '"1"', "null", "true"])("exp %s is refused", (text) => {
    expect(uint64Claim(claimsOf(`{"exp":${text}}`), "exp")).toBeUndefined();
  });

  test("a name written with escapes counts as the same name", () => {
    expect(parseClaims(Buffer.from('{"exp":1,"\\u0065xp":2}'))).toBeUndefined();
  });

  test("strings with braces, quotes and commas do not confuse the members", () => {
    const claims = claimsOf('{"note":"a\\",{}\\\\","exp": 7 ,"deep":{"exp":[8,"}"]}}');

    expect(uint64Claim(claims, "exp")).toBe(7n);
    expect([...claims.keys()]).toEqual(["note", "exp", "deep"]);
  });
});

describe("base64url, RFC 4648 section 5", () => {
  test.each(["Zg==", "Zm8=", "Zm9v", "-_-_", ""])("%p is canonical", (text) => {
    expect(encodeBase64Url(decodeBase64Url(text) ?? Buffer.from("no"))).toBe(text);
  });

  test.each(["Zg", "Zg=", "Zh==", "Zm9=", "Zm9v====", "Zm 9", "+/+/", "Zm9v\n", "="])("%p is refused", (text) => {
    expect(decodeBase64Url(text)).toBeUndefined();
  });
});
