import { describe, expect, test } from "bun:test";
import { CredentialPair, Otp, TokenPair } from "../../src/auth/messages.ts";
import { ContainerAccessTokenList, EncryptedBlobUpdate } from "../../src/container/messages.ts";
import { EntryId } from "../../src/entry/messages.ts";
import { AcceptKeyInfo } from "../../src/invitation/messages.ts";
import { ContainerChangesRequest } from "../../src/sync/messages.ts";
import { parseMicros } from "../../src/wire/timestamp.ts";
import { hexBytes } from "./hex.ts";
import { refusalOf } from "./refusal.ts";

const PAIR_HEAD = "0a00 1200";

describe("messages.md: JSON numbers and bytes out of range are 400, in range are read", () => {
  const nonceOf = (json: string) => {
    const body = `{"encrypted_blob":"","version_nonce":${json},"expected_previous_version_nonce":"0"}`;
    return EncryptedBlobUpdate.decodeJson(body).version_nonce;
  };
  const goodInt64s: [json: string, value: bigint][] = [
    ['"9223372036854775807"', 2n ** 63n - 1n],
    ['"-9223372036854775808"', -(2n ** 63n)],
    ['"0"', 0n],
    ['"-0"', 0n],
    ["9007199254740991", 2n ** 53n - 1n],
    ["-9007199254740991", 1n - 2n ** 53n],
    ["-0", 0n],
    ["1e3", 1000n],
  ];
  test.each(goodInt64s)("int64 %s is read", (json, value) => {
    expect(nonceOf(json)).toBe(value);
  });

  test.each([
    '"9223372036854775808"',
    '"-9223372036854775809"',
    '"99999999999999999999"',
    "9007199254740992",
    "-9007199254740992",
    "9223372036854775807",
    "1.5",
    "1e400",
    '""',
    '"1.0"',
    '"+1"',
    '" 1"',
    '"1\\n"',
    '"0x10"',
    '"1e3"',
    "true",
    "[1]",
  ])("int64 %s is refused", (json) => {
    expect(refusalOf(() => nonceOf(json))).toMatchObject({ type: "PREHANDLER", status: 400 });
  });

  const expirationOf = (json: string) => AcceptKeyInfo.decodeJson(`{"read_only":true,"expiration":${json}}`).expiration;

  test.each([
    ['"18446744073709551615"', 2n ** 64n - 1n],
    ["1769847300", 1_769_847_300n],
  ] as [string, bigint][])("uint64 %s is read", (json, value) => {
    expect(expirationOf(json)).toBe(value);
  });

  test.each(['"18446744073709551616"', '"-1"', "-1", '"-0"', "18446744073709551615"])(
    "uint64 %s is refused",
    (json) => {
      expect(refusalOf(() => expirationOf(json))).toMatchObject({ type: "PREHANDLER", status: 400 });
    },
  );

  const int32Of = (json: string) => CredentialPair.decodeJson(`{"email":"","auth_string":"","nonce":${json}}`).nonce;

  test.each([
    ["2147483647", 2 ** 31 - 1],
    ["-2147483648", -(2 ** 31)],
    ["-0", 0],
    ["7.0", 7],
  ] as [string, number][])("int32 %s is read", (json, value) => {
    expect(int32Of(json)).toBe(value);
  });

  test.each(["2147483648", "-2147483649", "0.5", '"7"', "1e999"])("int32 %s is refused", (json) => {
    expect(refusalOf(() => int32Of(json))).toMatchObject({ type: "PREHANDLER", status: 400 });
  });

  const bytesOf = (text: string) =>
    CredentialPair.decodeJson(JSON.stringify({ email: "", auth_string: text, nonce: 0 })).auth_string.toHex();

  test.each([
    ["", ""],
    ["+/8=", "fbff"],
    ["+/8", "fbff"],
    ["-_8=", "fbff"],
    ["-_8", "fbff"],
    ["AQ==", "01"],
    ["AQ", "01"],
    ["QUJD", "414243"],
  ])("base64 %p is read", (text, hex) => {
    expect(bytesOf(text)).toBe(hex);
  });

  test.each(["A", "A=", "AQ=", "AQ===", "=", "AR==", "AQ==\n", "A Q==", "AQ==AQ==", "+_8=", "*", "é", "0x01!"])(
    "base64 %p is refused",
    (text) => {
      expect(refusalOf(() => bytesOf(text))).toMatchObject({ type: "PREHANDLER", status: 400 });
    },
  );
});

describe("W17: a Uuid or a Timestamp that is none is 400 INVALID_MESSAGE", () => {
  test.each([0, 1, 15, 17, 32])("protobuf: a Uuid of %p bytes", (length) => {
    const value = Uint8Array.from([10, length, ...new Uint8Array(length)]);
    const refusal = refusalOf(() => EntryId.decodeProtobuf(Uint8Array.from([10, value.length, ...value])));
    const message = "EntryId cannot be read: value is not a UUID: it needs exactly 16 bytes.";
    expect(refusal).toEqual({ type: "INVALID_MESSAGE", status: 400, message });
  });

  test.each([
    "",
    "018f3c5e",
    "018f3c5e7a00700080000123456789ab",
    "{018f3c5e-7a00-7000-8000-0123456789ab}",
    "018f3c5e-7a00-7000-8000-0123456789ag",
    "018f3c5e-7a00-7000-8000-0123456789ab ",
    "018f3c5e-7a00-7000-8000-0123456789ab\n",
    "018f3c5e-7a00-7000-80000-123456789ab",
  ])("JSON: the UUID text %p", (value) => {
    expect(refusalOf(() => EntryId.decodeJson(JSON.stringify({ value })))).toMatchObject({
      type: "INVALID_MESSAGE",
      status: 400,
      message: "EntryId cannot be read: value must be a UUID, such as 018f3c5e-7a00-7000-8000-0123456789ab.",
    });
  });

  test("JSON: a UUID is read in any case and is lower-case in code", () => {
    const { value } = EntryId.decodeJson('{"value":"018F3C5E-7a00-7000-8000-0123456789AB"}');
    expect(value).toBe("018f3c5e-7a00-7000-8000-0123456789ab");
  });

  test.each([
    ["nanos of a whole second", "1a08 0801 108094ebdc03", "server_time has nanos of a whole second or more"],
    ["nanos of 32 bits", "1a08 0801 10ffffffff0f", "server_time has nanos of a whole second or more"],
    ["the year 10000", "1a09 088083d1ffaf07 1000", "server_time lies outside the years 1970 to 9999"],
    ["secs of 64 bits", "1a0d 08ffffffffffffffffff01 1000", "server_time lies outside the years 1970 to 9999"],
  ])("protobuf: a Timestamp with %s", (_what, hex, sentence) => {
    const refusal = refusalOf(() => TokenPair.decodeProtobuf(hexBytes(`${PAIR_HEAD} ${hex}`)));
    expect(refusal).toEqual({
      type: "INVALID_MESSAGE",
      status: 400,
      message: `TokenPair cannot be read: ${sentence}.`,
    });
  });

  test("protobuf: the last nanosecond of 9999 is read, cut to microseconds", () => {
    const hex = `${PAIR_HEAD} 1a0d 08ff82d1ffaf07  10ff93ebdc03 `;
    expect(TokenPair.decodeProtobuf(hexBytes(hex)).server_time).toBe(253_402_300_799_999_999n);
  });

  const timeOf = (server_time: string) =>
    TokenPair.decodeJson(JSON.stringify({ access_token: "", refresh_token: "", server_time })).server_time;

  test.each([
    ["2026-01-31T08:15:00Z", 1_769_847_300_000_000n],
    ["2026-01-31T08:15:00+00:00", 1_769_847_300_000_000n],
    ["2026-01-31T08:15:00.1Z", 1_769_847_300_100_000n],
    ["2026-01-31T08:15:00.123456Z", 1_769_847_300_123_456n],
    ["2026-01-31T08:15:00.123456999Z", 1_769_847_300_123_456n],
    ["2024-02-29T00:00:00Z", 1_709_164_800_000_000n],
    ["1970-01-01T00:00:00Z", 0n],
    ["9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999n],
  ] as [string, bigint][])("JSON: the time %s is read", (text, micros) => {
    expect(timeOf(text)).toBe(micros);
  });

  test.each([
    "",
    "yesterday",
    "2026-01-31",
    "2026-01-31T08:15:00",
    "2026-01-31T08:15Z",
    "2026-01-31 08:15:00Z",
    "2026-01-31T08:15:00.Z",
    "2026-01-31T08:15:00.1234567890Z",
    "2026-01-31T08:15:00+01:00",
    "2026-01-31T08:15:00-00:00",
    "2026-02-29T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T23:60:00Z",
    "2026-12-31T23:59:60Z",
    "1969-12-31T23:59:59.999999Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "+12026-01-31T08:15:00Z",
    "2026-01-31T08:15:00Z[UTC]",
    "2026-01-31T08:15:00Z\n",
    "２026-01-31T08:15:00Z",
  ])("JSON: the time %p is refused", (text) => {
    expect(refusalOf(() => timeOf(text))).toMatchObject({ type: "INVALID_MESSAGE", status: 400 });
  });
});

describe("parseMicros, which does not lean on the schema's check of the format", () => {
  test.each([
    "2026-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-01-31T24:00:00Z",
    "1969-12-31T23:59:59Z",
    "2026-01-31",
  ])("%s is no time", (text) => {
    expect(parseMicros(text)).toBeUndefined();
  });
});

describe("W17: JSON that is read although it is unusual", () => {
  test("of duplicate keys the last counts", () => {
    expect(Otp.decodeJson('{"value":1,"value":"a","value":"b"}')).toStrictEqual({ value: "b" });
  });

  test("an absent list is an empty one, as in protobuf", () => {
    expect(ContainerAccessTokenList.decodeJson("{}")).toStrictEqual({ tokens: [] });
  });

  test("an absent optional field stays absent", () => {
    expect(ContainerChangesRequest.decodeJson('{"containers":[]}')).toStrictEqual({ containers: [] });
  });

  test("white space and escapes as JSON has them", () => {
    expect(Otp.decodeJson(' {\n"val\\u0075e" :\t"\\u00e9\\ud83d\\ude00" } ')).toStrictEqual({ value: "é😀" });
  });

  test("nothing that is read reaches a prototype", () => {
    refusalOf(() => Otp.decodeJson('{"value":"a","__proto__":{"polluted":true}}'));
    expect({}).not.toHaveProperty("polluted");
  });
});
