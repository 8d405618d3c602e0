import Type, { type TSchema } from "typebox";
import { ERRORS, type ErrorType } from "../errors.ts";
import { formatBase64, parseBase64 } from "./base64.ts";
import { type Kind, lazyCheck } from "./kind.ts";
import { LENGTH_DELIMITED, VARINT } from "./reader.ts";
import { Refusal, type RefusalType } from "./refusal.ts";
import { formatMicros, parseMicros } from "./timestamp.ts";
import { UUID_BYTES, writeUuidBytes } from "./uuid.ts";

const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;
const UINT32_MAX = 2 ** 32 - 1;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

/** @param rule completes "the field …" for a client who sent something else */
function scalar<T, S extends TSchema>(rule: string, kind: Omit<Kind<T, S>, "accepts" | "explain">): Kind<T, S> {
  return {
    ...kind,
    accepts: lazyCheck(() => kind.schema),
    explain: () => new Refusal("PREHANDLER", rule),
  };
}

/** A scalar whose text can be of the right JSON type and still be no such value, which has its own error (W17). */
function textScalar<T, S extends TSchema>(rule: string, kind: Omit<Kind<T, S>, "accepts" | "explain">): Kind<T, S> {
  return { ...scalar(rule, kind), explain: (json) => new Refusal(typeErrorOf(json), rule) };
}

function typeErrorOf(json: unknown): RefusalType {
  return typeof json === "string" ? "INVALID_MESSAGE" : "PREHANDLER";
}

export const boolKind = scalar("must be true or false", {
  protoType: "bool",
  wireType: VARINT,
  schema: Type.Boolean(),
  read: (reader) => reader.bool(),
  write: (writer, value: boolean) => void writer.bool(value),
  fromJson: (json) => json,
  toJson: (value) => value,
});

const BYTES_RULE = "must be bytes as base64 text";
export const bytesKind = scalar(BYTES_RULE, {
  protoType: "bytes",
  wireType: LENGTH_DELIMITED,
  schema: Type.String({ contentEncoding: "base64" }),
  read: (reader): Uint8Array => reader.bytes(),
  write: (writer, value: Uint8Array) => {
    // protobufjs would take a string for base64.
    if (!(value instanceof Uint8Array)) throw new TypeError("the value is not bytes");
    writer.bytes(value);
  },
  fromJson: (json) => {
    const bytes = parseBase64(json);
    if (bytes === undefined) throw new Refusal("PREHANDLER", BYTES_RULE);
    return bytes;
  },
  toJson: formatBase64,
});

export const stringKind = scalar("must be a string", {
  protoType: "string",
  wireType: LENGTH_DELIMITED,
  schema: Type.String(),
  read: (reader) => reader.text(),
  write: (writer, value: string) => void writer.string(value),
  fromJson: (json) => {
    // JSON can spell half a surrogate pair; no UTF-8 can hold it.
    if (!json.isWellFormed()) throw new Refusal("PREHANDLER", "is not valid Unicode");
    return json;
  },
  toJson: (value) => value,
});

export const int32Kind = scalar(`must be a whole number from ${INT32_MIN} to ${INT32_MAX}`, {
  protoType: "int32",
  wireType: VARINT,
  schema: Type.Integer({ minimum: INT32_MIN, maximum: INT32_MAX }),
  read: (reader) => reader.int32(),
  write: (writer, value: number) => void writer.int32(fitting(value, value | 0)),
  // JSON knows -0, which is 0 to everybody else.
  fromJson: (json) => json + 0,
  toJson: (value) => fitting(value, value | 0),
});

export const uint32Kind = scalar(`must be a whole number from 0 to ${UINT32_MAX}`, {
  protoType: "uint32",
  wireType: VARINT,
  schema: Type.Integer({ minimum: 0, maximum: UINT32_MAX }),
  read: (reader) => reader.uint32(),
  write: (writer, value: number) => void writer.uint32(fitting(value, value >>> 0)),
  fromJson: (json) => json + 0,
  toJson: (value) => fitting(value, value >>> 0),
});

/** protobufjs cuts a number to 32 bits in silence. @param cut the number as 32 bits */
function fitting(value: number, cut: number): number {
  if (value !== cut) throw new RangeError("the value does not fit into 32 bits");
  return cut;
}

const INT64_RULE = `must be a whole number from ${INT64_MIN} to ${INT64_MAX} as decimal text`;
export const int64Kind = scalar(INT64_RULE, {
  protoType: "int64",
  wireType: VARINT,
  schema: Type.Union([
    // At most as many digits as 64 bits need: reading a million digits as a bigint takes minutes.
    Type.String({ pattern: "^-?[0-9]{1,19}$" }),
    Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }),
  ]),
  read: (reader) => reader.bigInt64(),
  write: (writer, value: bigint) => writer.bigInt64(value),
  fromJson: (json) => bigintWithin(json, INT64_MIN, INT64_MAX, INT64_RULE),
  toJson: (value) => String(fittingBigint(value, BigInt.asIntN(64, value))),
});

const UINT64_RULE = `must be a whole number from 0 to ${UINT64_MAX} as decimal text`;
export const uint64Kind = scalar(UINT64_RULE, {
  protoType: "uint64",
  wireType: VARINT,
  schema: Type.Union([
    Type.String({ pattern: "^[0-9]{1,20}$" }),
    Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  ]),
  read: (reader) => reader.bigUint64(),
  write: (writer, value: bigint) => writer.bigUint64(value),
  fromJson: (json) => bigintWithin(json, 0n, UINT64_MAX, UINT64_RULE),
  toJson: (value) => String(fittingBigint(value, BigInt.asUintN(64, value))),
});

function fittingBigint(value: bigint, cut: bigint): bigint {
  if (value !== cut) throw new RangeError("the value does not fit into 64 bits");
  return cut;
}

function bigintWithin(json: string | number, minimum: bigint, maximum: bigint, rule: string): bigint {
  const value = BigInt(json);
  if (value < minimum || value > maximum) throw new Refusal("PREHANDLER", rule);
  return value;
}

const uuidScratch = new Uint8Array(UUID_BYTES);

/** In code the canonical lower-case text. */
export const uuidKind = textScalar("must be a UUID, such as 018f3c5e-7a00-7000-8000-0123456789ab", {
  protoType: "Uuid",
  wireType: LENGTH_DELIMITED,
  schema: Type.String({ format: "uuid" }),
  read: (reader) => reader.uuid(),
  write: (writer, value: string) => writer.uuid(value),
  fromJson: (json) => json.toLowerCase(),
  toJson: (value) => {
    if (!writeUuidBytes(value, uuidScratch, 0)) throw new TypeError("the value is not a UUID");
    return value.toLowerCase();
  },
});

/** In code microseconds since the epoch. */
const TIMESTAMP_RULE = "must be a UTC time of the years 1970 to 9999, such as 2026-01-31T08:15:00.123456Z";
export const timestampKind = textScalar(TIMESTAMP_RULE, {
  protoType: "Timestamp",
  wireType: LENGTH_DELIMITED,
  schema: Type.String({ format: "date-time" }),
  read: (reader) => reader.timestamp(),
  write: (writer, value: bigint) => writer.timestamp(value),
  fromJson: (json) => {
    const micros = parseMicros(json);
    if (micros === undefined) throw new Refusal("INVALID_MESSAGE", TIMESTAMP_RULE);
    return micros;
  },
  toJson: formatMicros,
});

const ERROR_NAMES = Object.keys(ERRORS) as ErrorType[];
const ERROR_NAMES_BY_NUMBER = new Map(ERROR_NAMES.map((name) => [ERRORS[name].no as number, name]));

/** In code the error's name. */
export const errorTypeKind = scalar("must be the name of an error type", {
  protoType: "ErrorType",
  wireType: VARINT,
  schema: Type.Enum(ERROR_NAMES),
  read: (reader): ErrorType => {
    const name = ERROR_NAMES_BY_NUMBER.get(reader.int32());
    if (name === undefined) throw new Refusal("PREHANDLER", "is not the number of an error type");
    return name;
  },
  write: (writer, value: ErrorType) => void writer.int32(ERRORS[value].no),
  fromJson: (json) => json,
  toJson: (value) => value,
});
