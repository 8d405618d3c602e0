import { describe, expect, test } from "bun:test";
import { CredentialPair, Otp, TokenPair } from "../../src/auth/messages.ts";
import { BulkUploadContainerList, ContainerAccessTokenList, MemberKeyList } from "../../src/container/messages.ts";
import { EntryId } from "../../src/entry/messages.ts";
import { AcceptKeyInfo } from "../../src/invitation/messages.ts";
import { ContainerChangesRequest } from "../../src/sync/messages.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import type { Message } from "../../src/wire/message.ts";
import { hexBytes } from "./hex.ts";
import { refusalOf } from "./refusal.ts";

type Case = [what: string, message: Message, body: string, sentence: string];

const ID_HEX = "018f3c5e7a00700080000123456789ab";
const PAIR_HEAD = "0a00 1200";

const UNREADABLE_PROTOBUF: Case[] = [
  ["an empty body where fields are required", Otp, "", "Otp cannot be read: value is missing."],
  ["a missing required field", AcceptKeyInfo, "0801", "AcceptKeyInfo cannot be read: expiration is missing."],
  ["a string cut short", Otp, "0a0561", "Otp cannot be read: value ends too early."],
  ["a varint cut short", AcceptKeyInfo, "0801 10ff", "AcceptKeyInfo cannot be read: expiration ends too early."],
  ["a tag cut short", Otp, "0a0161 ff", "Otp cannot be read: the body ends too early."],
  ["a string that is not UTF-8", Otp, "0a02c328", "Otp cannot be read: value is not valid UTF-8."],
  ["an overlong UTF-8 form", Otp, "0a02c080", "Otp cannot be read: value is not valid UTF-8."],
  ["a surrogate in UTF-8", Otp, "0a03eda080", "Otp cannot be read: value is not valid UTF-8."],
  [
    "a long string that is not UTF-8",
    ContainerAccessTokenList,
    `0a0161 0ac801 ${"61".repeat(199)}ff`,
    "ContainerAccessTokenList cannot be read: tokens[1] is not valid UTF-8.",
  ],
  ["a varint for a string", Otp, "0801", "Otp cannot be read: value has the wrong protobuf wire type."],
  [
    "a fixed32 for an optional varint",
    ContainerChangesRequest,
    "1501020304",
    "ContainerChangesRequest cannot be read: max_bytes has the wrong protobuf wire type.",
  ],
  [
    "a group for a list element",
    ContainerChangesRequest,
    "0b0c",
    "ContainerChangesRequest cannot be read: containers[0] has the wrong protobuf wire type.",
  ],
  [
    "a varint of eleven bytes",
    AcceptKeyInfo,
    `08${"ff".repeat(10)}01`,
    "AcceptKeyInfo cannot be read: read_only is not valid protobuf.",
  ],
  ["field number 0", Otp, "0a0161 0001", "Otp cannot be read: the body is not valid protobuf."],
  ["the end of a group that never began", Otp, "0a0161 fc01", "Otp cannot be read: the body is not valid protobuf."],
  ["wire type 7", Otp, "0a0161 ff01", "Otp cannot be read: the body is not valid protobuf."],
  ["an unknown group that never ends", Otp, "0a0161 fb01", "Otp cannot be read: the body ends too early."],
  ["a Uuid without its bytes", EntryId, "0a00", "EntryId cannot be read: value.value is missing."],
  [
    "a Uuid of a wrong wire type inside",
    EntryId,
    "0a020801",
    "EntryId cannot be read: value.value has the wrong protobuf wire type.",
  ],
  ["a Uuid that runs over its end", EntryId, `0a02 0a10 ${ID_HEX}`, "EntryId cannot be read: value ends too early."],
  [
    "a submessage that runs over the end of what holds it, though not of the body",
    MemberKeyList,
    `0a06 1000 1800 0a12 0a10 ${ID_HEX}`,
    "MemberKeyList cannot be read: keys[0].key_id ends too early.",
  ],
  [
    "a Timestamp without nanos",
    TokenPair,
    `${PAIR_HEAD} 1a020801`,
    "TokenPair cannot be read: server_time.nanos is missing.",
  ],
  [
    "a Timestamp without secs",
    TokenPair,
    `${PAIR_HEAD} 1a021001`,
    "TokenPair cannot be read: server_time.secs is missing.",
  ],
  [
    "a Timestamp of a wrong wire type inside",
    TokenPair,
    `${PAIR_HEAD} 1a050d00000000`,
    "TokenPair cannot be read: server_time.secs has the wrong protobuf wire type.",
  ],
  [
    "the number of no error type",
    ServerErrorResponse,
    "081b 1200",
    "ServerErrorResponse cannot be read: err_type is not the number of an error type.",
  ],
  [
    "a missing field deep inside",
    BulkUploadContainerList,
    // containers[0] { blob, nonce, entries[0] whole, entries[1] without its nonce }
    "0a14 0a00 1000 2206 0801 1200 1801 2204 0802 1200 2a00",
    "BulkUploadContainerList cannot be read: containers[0].entries[1].version_nonce is missing.",
  ],
];

const UNREADABLE_JSON: Case[] = [
  ["nothing", Otp, "", "Otp cannot be read: the body is not valid JSON."],
  ["JSON cut short", Otp, '{"value":"a"', "Otp cannot be read: the body is not valid JSON."],
  ["a list at the top", Otp, "[]", "Otp cannot be read: the body must be a JSON object."],
  ["null at the top", Otp, "null", "Otp cannot be read: the body must be a JSON object."],
  ["a string at the top", Otp, '"value"', "Otp cannot be read: the body must be a JSON object."],
  [
    "a missing required field",
    AcceptKeyInfo,
    '{"read_only":true}',
    "AcceptKeyInfo cannot be read: expiration is missing.",
  ],
  [
    "an unknown field",
    Otp,
    '{"value":"a","valeu":"b"}',
    'Otp cannot be read: the body has a field that does not exist: "valeu".',
  ],
  [
    "a field in camelCase",
    AcceptKeyInfo,
    '{"readOnly":true,"expiration":"1"}',
    'AcceptKeyInfo cannot be read: the body has a field that does not exist: "readOnly".',
  ],
  [
    "__proto__",
    Otp,
    '{"__proto__":{"value":"a"}}',
    'Otp cannot be read: the body has a field that does not exist: "__proto__".',
  ],
  [
    "__proto__ beside the fields",
    Otp,
    '{"value":"a","__proto__":{}}',
    'Otp cannot be read: the body has a field that does not exist: "__proto__".',
  ],
  [
    "constructor",
    Otp,
    '{"value":"a","constructor":1}',
    'Otp cannot be read: the body has a field that does not exist: "constructor".',
  ],
  ["null for a required field", Otp, '{"value":null}', "Otp cannot be read: value must be a string."],
  [
    "null for an optional field",
    ContainerChangesRequest,
    '{"containers":[],"max_bytes":null}',
    "ContainerChangesRequest cannot be read: max_bytes must be a whole number from 0 to 4294967295.",
  ],
  [
    "null for a list",
    ContainerAccessTokenList,
    '{"tokens":null}',
    "ContainerAccessTokenList cannot be read: tokens must be a list.",
  ],
  [
    "null in a list",
    ContainerAccessTokenList,
    '{"tokens":["a",null]}',
    "ContainerAccessTokenList cannot be read: tokens[1] must be a string.",
  ],
  ["a number for a string", Otp, '{"value":12345678}', "Otp cannot be read: value must be a string."],
  ["half a surrogate pair", Otp, '{"value":"\\ud800"}', "Otp cannot be read: value is not valid Unicode."],
  [
    "a string for a bool",
    AcceptKeyInfo,
    '{"read_only":"true","expiration":"1"}',
    "AcceptKeyInfo cannot be read: read_only must be true or false.",
  ],
  [
    "a number for a UUID",
    EntryId,
    '{"value":1}',
    "EntryId cannot be read: value must be a UUID, such as 018f3c5e-7a00-7000-8000-0123456789ab.",
  ],
  [
    "a number for a time",
    TokenPair,
    '{"access_token":"","refresh_token":"","server_time":1769847300}',
    "TokenPair cannot be read: server_time must be a UTC time of the years 1970 to 9999, such as 2026-01-31T08:15:00.123456Z.",
  ],
  [
    "the name of no error type",
    ServerErrorResponse,
    '{"err_type":"NOPE","err_message":""}',
    "ServerErrorResponse cannot be read: err_type must be the name of an error type.",
  ],
  [
    "a wrong value deep inside",
    BulkUploadContainerList,
    '{"containers":[{"encrypted_blob":"","version_nonce":"1","user_public_container_key":"","entries":[{"temp_id":1,"encrypted_blob":"","version_nonce":"1"},{"temp_id":2,"encrypted_blob":"*","version_nonce":"1"}]}]}',
    "BulkUploadContainerList cannot be read: containers[0].entries[1].encrypted_blob must be bytes as base64 text.",
  ],
];

describe("W17: an unreadable body is 400 PREHANDLER and the sentence names the field", () => {
  test.each(UNREADABLE_PROTOBUF)("protobuf: %s", (_what, message, hex, sentence) => {
    const refusal = refusalOf(() => message.decodeProtobuf(hexBytes(hex)));
    expect(refusal).toEqual({ type: "PREHANDLER", status: 400, message: sentence });
  });

  test.each(UNREADABLE_JSON)("JSON: %s", (_what, message, text, sentence) => {
    const expected = { type: "PREHANDLER", status: 400, message: sentence } as const;
    expect(refusalOf(() => message.decodeJson(text))).toEqual(expected);
    expect(refusalOf(() => message.decodeJson(new TextEncoder().encode(text)))).toEqual(expected);
  });

  test("JSON: bytes that are not UTF-8", () => {
    const body = Buffer.concat([Buffer.from('{"value":"'), Buffer.of(0xc3, 0x28), Buffer.from('"}')]);
    const sentence = "Otp cannot be read: the body is not valid UTF-8.";
    expect(refusalOf(() => Otp.decodeJson(body))).toEqual({ type: "PREHANDLER", status: 400, message: sentence });
  });

  test("the name of an unknown field is shown only in part when it is long", () => {
    const { message } = refusalOf(() => Otp.decodeJson(JSON.stringify({ ["x".repeat(1_000)]: 1 })));
    expect(message).toBe(`Otp cannot be read: the body has a field that does not exist: "${"x".repeat(64)}".`);
  });

  test("no sentence quotes a value", () => {
    const secret = "hunter2";
    const body = { email: "a@b.example", auth_string: secret, nonce: secret };
    expect(refusalOf(() => CredentialPair.decodeJson(JSON.stringify(body))).message).not.toContain(secret);
  });
});
