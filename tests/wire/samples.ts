import fc from "fast-check";
import { ERRORS, type ErrorType } from "../../src/errors.ts";
import { MESSAGES } from "../../src/messages.ts";
import type { Field } from "../../src/wire/field.ts";
import type { Message } from "../../src/wire/message.ts";

export type Values = Record<string, unknown>;

const LAST_MICROSECOND_OF_9999 = 253_402_300_799_999_999n;

/** Values of every scalar of the contract by its name in the tables, edges included. */
const SCALARS: Record<string, fc.Arbitrary<unknown>> = {
  bool: fc.boolean(),
  bytes: fc.uint8Array({ maxLength: 40 }),
  string: fc.string({ unit: "binary", maxLength: 40 }),
  int32: fc.oneof(fc.integer(), fc.constantFrom(0, -1, 2 ** 31 - 1, -(2 ** 31))),
  uint32: fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 31, 2 ** 32 - 1)),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  Uuid: fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map((bytes) => bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")),
  Timestamp: fc.bigInt({ min: 0n, max: LAST_MICROSECOND_OF_9999 }),
  ErrorType: fc.constantFrom(...(Object.keys(ERRORS) as ErrorType[])),
};

const messagesByName = new Map(MESSAGES.map((message) => [message.name, message]));

export function messageNamed(name: string): Message<Values> {
  const message = messagesByName.get(name);
  if (message === undefined) throw new Error(`there is no message ${name}`);
  return message as Message<Values>;
}

/** Any value of a message, optional fields now and then absent. */
export function anyValueOf(message: Message): fc.Arbitrary<Values> {
  const fields = Object.entries(message.fields);
  const requiredKeys = fields.filter(([, field]) => field.presence !== "optional").map(([name]) => name);
  return fc.record(Object.fromEntries(fields.map(([name, field]) => [name, anyFieldValue(field)])), {
    requiredKeys,
    noNullPrototype: true,
  });
}

function anyFieldValue({ kind, presence }: Field): fc.Arbitrary<unknown> {
  const element = SCALARS[kind.protoType] ?? anyValueOf(messageNamed(kind.protoType));
  return presence === "repeated" ? fc.array(element, { maxLength: 3 }) : element;
}

/** One value of a message that has every field, lists with two elements, and short blobs. The same in every run. */
export function fullValueOf(message: Message): Values {
  const values: Values = {};
  for (const [name, { kind, presence, number }] of Object.entries(message.fields)) {
    const element = FULL_SCALARS[kind.protoType]?.(number) ?? fullValueOf(messageNamed(kind.protoType));
    values[name] = presence === "repeated" ? [element, element] : element;
  }
  return values;
}

const FULL_SCALARS: Record<string, (number: number) => unknown> = {
  bool: () => true,
  bytes: (number) => Uint8Array.of(0xfb, number, 0xff),
  string: (number) => `é${number}`,
  int32: (number) => -number,
  uint32: (number) => number * 100_000,
  int64: (number) => -1_234_567_890_123_456_789n * BigInt(number % 5),
  uint64: (number) => 2n ** 63n + BigInt(number),
  Uuid: (number) => `018f3c5e-7a00-7000-8000-0123456789${number.toString(16).padStart(2, "0")}`,
  Timestamp: (number) => 1_769_847_300_123_456n + BigInt(number),
  ErrorType: () => "OUT_OF_DATE",
};
