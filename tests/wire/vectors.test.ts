import { describe, expect, test } from "bun:test";
import { Otp, TokenPair } from "../../src/auth/messages.ts";
import { ContainerAccessTokenList, ContainerRekey, EncryptedBlobUpdate } from "../../src/container/messages.ts";
import { EncryptedBlobAndCategoryId, EntryId } from "../../src/entry/messages.ts";
import { AcceptKeyInfo } from "../../src/invitation/messages.ts";
import { ContainerChangesRequest } from "../../src/sync/messages.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import type { Message } from "../../src/wire/message.ts";
import { hexBytes } from "./hex.ts";
import { messageNamed, type Values } from "./samples.ts";

const ID = "018f3c5e-7a00-7000-8000-0123456789ab";
const ID_HEX = "018f3c5e7a00700080000123456789ab";

/** Worked out by hand from the protobuf encoding rules and the tables of messages.md. */
const VECTORS: [message: Message, value: Values, hex: string, json: string][] = [
  [
    AcceptKeyInfo,
    { read_only: true, expiration: 1_769_847_300n },
    "0801 1084f4f6cb06",
    '{"read_only":true,"expiration":"1769847300"}',
  ],
  [AcceptKeyInfo, { read_only: false, expiration: 0n }, "0800 1000", '{"read_only":false,"expiration":"0"}'],
  [Otp, { value: "12345678" }, "0a08 3132333435363738", '{"value":"12345678"}'],
  [EntryId, { value: ID }, `0a12 0a10 ${ID_HEX}`, `{"value":"${ID}"}`],
  [
    ServerErrorResponse,
    { err_type: "OUT_OF_DATE", err_message: "é" },
    "0802 1202c3a9",
    '{"err_type":"OUT_OF_DATE","err_message":"é"}',
  ],
  [
    ServerErrorResponse,
    { err_type: "INCORRECTLY_FORMED", err_message: "" },
    "0800 1200",
    '{"err_type":"INCORRECTLY_FORMED","err_message":""}',
  ],
  [ContainerAccessTokenList, { tokens: ["a", "", "b"] }, "0a0161 0a00 0a0162", '{"tokens":["a","","b"]}'],
  [ContainerAccessTokenList, { tokens: [] }, "", '{"tokens":[]}'],
  [
    EncryptedBlobAndCategoryId,
    { encrypted_blob: new Uint8Array(), version_nonce: 0n },
    "0a00 1000",
    '{"encrypted_blob":"","version_nonce":"0"}',
  ],
  [
    EncryptedBlobAndCategoryId,
    { encrypted_blob: Uint8Array.of(0xfb, 0xff), version_nonce: 300n, category_id: ID },
    `0a02fbff 10ac02 1a12 0a10 ${ID_HEX}`,
    `{"encrypted_blob":"+/8=","version_nonce":"300","category_id":"${ID}"}`,
  ],
  [
    TokenPair,
    { access_token: "A", refresh_token: "R", server_time: 1_769_847_300_123_456n },
    "0a0141 120152 1a0b 0884f4f6cb06 108094ef3a",
    '{"access_token":"A","refresh_token":"R","server_time":"2026-01-31T08:15:00.123456Z"}',
  ],
  [
    TokenPair,
    { access_token: "", refresh_token: "", server_time: 0n },
    "0a00 1200 1a04 0800 1000",
    '{"access_token":"","refresh_token":"","server_time":"1970-01-01T00:00:00.000000Z"}',
  ],
  [
    messageNamed("CredentialPair"),
    { email: "", auth_string: new Uint8Array(), nonce: -1 },
    "0a00 1200 18ffffffffffffffffff01",
    '{"email":"","auth_string":"","nonce":-1}',
  ],
  [
    ContainerChangesRequest,
    { containers: [{ token: "t", since: 1n }], max_bytes: 4_294_967_295 },
    "0a05 0a0174 1001 10ffffffff0f",
    '{"containers":[{"token":"t","since":"1"}],"max_bytes":4294967295}',
  ],
];

describe("messages.md: byte vectors worked out by hand", () => {
  test.each(VECTORS.map(([message, ...rest]) => [message.name, message, ...rest] as const))(
    "%s",
    (_name, message, value, hex, json) => {
      expect(message.encodeProtobuf(value)).toEqual(hexBytes(hex));
      expect(message.decodeProtobuf(hexBytes(hex))).toStrictEqual(value);
      expect(message.encodeJson(value)).toBe(json);
      expect(message.decodeJson(json)).toStrictEqual(value);
    },
  );
});

describe("messages.md: 64-bit numbers are exact over their full range", () => {
  const update = (version_nonce: bigint) => ({
    encrypted_blob: new Uint8Array(),
    version_nonce,
    expected_previous_version_nonce: 0n,
  });
  const int64s: [value: bigint, varint: string][] = [
    [2n ** 63n - 1n, "ffffffffffffffff7f"],
    [-(2n ** 63n), "80808080808080808001"],
    [-1n, "ffffffffffffffffff01"],
    [2n ** 53n + 1n, "8180808080808010"],
    [2n ** 32n + 5n, "8580808010"],
    [2n ** 31n, "8080808008"],
    [127n, "7f"],
    [128n, "8001"],
  ];
  test.each(int64s)("int64 %p", (value, varint) => {
    const hex = `0a00 10 ${varint} 1800`;
    expect(EncryptedBlobUpdate.encodeProtobuf(update(value))).toEqual(hexBytes(hex));
    expect(EncryptedBlobUpdate.decodeProtobuf(hexBytes(hex)).version_nonce).toBe(value);
    expect(EncryptedBlobUpdate.encodeJson(update(value))).toContain(`"version_nonce":"${value}"`);
    expect(EncryptedBlobUpdate.decodeJson(EncryptedBlobUpdate.encodeJson(update(value)))).toEqual(update(value));
  });

  const uint64s: [value: bigint, varint: string][] = [
    [2n ** 64n - 1n, "ffffffffffffffffff01"],
    [2n ** 63n, "80808080808080808001"],
    [2n ** 53n + 1n, "8180808080808010"],
    [0n, "00"],
  ];
  test.each(uint64s)("uint64 %p", (expiration, varint) => {
    const hex = `0801 10 ${varint}`;
    const value = { read_only: true, expiration };
    expect(AcceptKeyInfo.encodeProtobuf(value)).toEqual(hexBytes(hex));
    expect(AcceptKeyInfo.decodeProtobuf(hexBytes(hex))).toEqual(value);
    expect(AcceptKeyInfo.decodeJson(AcceptKeyInfo.encodeJson(value))).toEqual(value);
  });
});

describe("messages.md: protobuf as other implementations write it", () => {
  const decode = (message: Message, hex: string) => message.decodeProtobuf(hexBytes(hex));

  test("unknown fields of every wire type are skipped", () => {
    const varint = "f80101";
    const fixed64 = "f9010102030405060708";
    const delimited = "fa0103aabbcc";
    const group = "fb01 0801 fc01";
    const fixed32 = "fd0101020304";
    expect(decode(Otp, `${varint}${fixed64}0a0161${delimited}${group}${fixed32}`)).toStrictEqual({ value: "a" });
  });

  test("fields may come in any order", () => {
    expect(decode(AcceptKeyInfo, "1005 0801")).toStrictEqual({ read_only: true, expiration: 5n });
  });

  test("of a single-value field sent twice the last one counts", () => {
    expect(decode(Otp, "0a0161 0a0162")).toStrictEqual({ value: "b" });
    expect(decode(EntryId, `0a12 0a10 ${"00".repeat(16)} 0a12 0a10 ${ID_HEX}`)).toStrictEqual({ value: ID });
  });

  test("a submessage sent in two halves is merged", () => {
    const halves = "0a03 0a0101 0a04 1002 1803";
    expect(() => decode(ContainerRekey, halves)).toThrow("container.version_nonce is missing");
    const whole = "0a07 0a0101 1002 1803 0a02 1009";
    expect(decode(ContainerRekey, whole)).toStrictEqual({
      container: { encrypted_blob: Uint8Array.of(1), version_nonce: 9n, expected_previous_version_nonce: 3n },
      categories: [],
      entries: [],
    });
  });

  test("an int32 varint beyond 32 bits is cut as protobuf says, and any varint but 0 is true", () => {
    const pair = decode(messageNamed("CredentialPair"), "0a00 1200 188580808010");
    expect(pair).toMatchObject({ nonce: 5 });
    expect(decode(AcceptKeyInfo, "0802 1000")).toMatchObject({ read_only: true });
  });

  test("nanoseconds below a microsecond are cut", () => {
    // The last varint is 123456999.
    const hex = "0a00 1200 1a0b 0884f4f6cb06 10e79bef3a";
    expect(decode(TokenPair, hex)).toMatchObject({ server_time: 1_769_847_300_123_456n });
  });

  test("decoded bytes are plain Uint8Array views of the body, also of a Buffer", () => {
    const body = Buffer.from(hexBytes("0a0401020304 1000"));
    const { encrypted_blob } = EncryptedBlobAndCategoryId.decodeProtobuf(body);
    expect(encrypted_blob.constructor).toBe(Uint8Array);
    expect(encrypted_blob.buffer).toBe(body.buffer);
  });
});
