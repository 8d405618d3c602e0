import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import { Container } from "../../src/container/messages.ts";
import { MESSAGES } from "../../src/messages.ts";
import { Entry } from "../../src/wire/common.ts";
import type { Kind } from "../../src/wire/kind.ts";
import type { Message, MessageType } from "../../src/wire/message.ts";
import { protoText } from "../../src/wire/proto.ts";
import { container, entry } from "./rows.ts";
import { anyValueOf, fullValueOf, messageNamed, type Values } from "./samples.ts";

const RUNS = 60;
const { root } = protobuf.parse(protoText(MESSAGES), { keepCase: true });

describe.each(MESSAGES.map((message) => [message.name, message as Message<Values>] as const))(
  "W1: %s",
  (name, message) => {
    test("comes back from protobuf and from JSON as it went in", () => {
      fc.assert(
        fc.property(anyValueOf(message), (value) => {
          expect(message.decodeProtobuf(message.encodeProtobuf(value))).toStrictEqual(value);
          expect(message.decodeJson(message.encodeJson(value))).toStrictEqual(value);
        }),
        { numRuns: RUNS },
      );
    });

    test("crosses from one encoding to the other and back without a change", () => {
      fc.assert(
        fc.property(anyValueOf(message), (value) => {
          const binary = message.encodeProtobuf(value);
          const text = message.encodeJson(message.decodeProtobuf(binary));
          expect(message.encodeProtobuf(message.decodeJson(new TextEncoder().encode(text)))).toEqual(binary);
        }),
        { numRuns: RUNS },
      );
    });

    test("has the very bytes that protobufjs makes of the generated .proto", () => {
      const type = root.lookupType(`entries.serverschema.${name}`);
      fc.assert(
        fc.property(anyValueOf(message), (value) => {
          const expected = type.encode(type.fromObject(inProtobufjs(message, value))).finish();
          expect(message.encodeProtobuf(value).toHex()).toBe(new Uint8Array(expected).toHex());
        }),
        { numRuns: RUNS },
      );
    });

    test("has every field in its JSON under its own name, and only those", () => {
      const json = JSON.parse(message.encodeJson(fullValueOf(message)));
      expect(Object.keys(json).toSorted()).toEqual(Object.keys(message.fields).toSorted());
    });
  },
);

/** The same value in the form that protobufjs' `fromObject` takes. */
function inProtobufjs(message: Message, value: Values): Values {
  const converted = Object.entries(message.fields).flatMap(([name, { kind, presence }]) => {
    const item = value[name];
    if (item === undefined) return [];
    const inner = presence === "repeated" ? (item as unknown[]).map((e) => elementOf(kind, e)) : elementOf(kind, item);
    return [[name, inner]];
  });
  return Object.fromEntries(converted);
}

function elementOf(kind: Kind, element: unknown): unknown {
  if (typeof element === "bigint" && kind.protoType === "Timestamp") {
    return { secs: String(element / 1_000_000n), nanos: Number(element % 1_000_000n) * 1_000 };
  }
  if (typeof element === "bigint") return String(element);
  if (typeof element === "string" && kind.protoType === "Uuid") {
    return { value: Uint8Array.fromHex(element.replaceAll("-", "")) };
  }
  const isMessage = typeof element === "object" && !(element instanceof Uint8Array);
  return isMessage ? inProtobufjs(messageNamed(kind.protoType), element as Values) : element;
}

describe("What encoders take", () => {
  test("null in an optional field, as a database row holds it, is absent on the wire", () => {
    const { category_id, deleted_at, ...rest } = entry;
    expect(category_id).toBeNull();
    expect(deleted_at).toBeNull();
    expect(Entry.decodeProtobuf(Entry.encodeProtobuf(entry))).toStrictEqual(rest);
    expect(Entry.decodeJson(Entry.encodeJson(entry))).toStrictEqual(rest);
    expect(Container.decodeProtobuf(Container.encodeProtobuf(container)).entries).toStrictEqual([rest]);
  });

  test("columns that are no fields stay off the wire", () => {
    const withColumn = { ...entry, sequence: 7n };
    expect(Entry.encodeProtobuf(withColumn)).toEqual(Entry.encodeProtobuf(entry));
    expect(Entry.encodeJson(withColumn)).toBe(Entry.encodeJson(entry));
  });

  test("a required field without a value is an error of ours that names it, not a zero", () => {
    const withoutId = { ...entry, id: undefined as unknown as string };
    expect(() => Entry.encodeProtobuf(withoutId)).toThrow(new TypeError("Entry.id is required and has no value"));
    expect(() => Entry.encodeJson(withoutId)).toThrow(new TypeError("Entry.id is required and has no value"));
  });

  const misfits: [string, Partial<MessageType<typeof Entry>>][] = [
    ["an int64 of 65 bits", { version_nonce: 2n ** 63n }],
    ["a UUID that is none", { id: "018f3c5e-7a00-7000-8000-0123456789" }],
    ["a time before 1970", { modified_timestamp: -1n }],
    ["a time after 9999", { modified_timestamp: 253_402_300_800_000_000n }],
    ["a number for an int64", { version_nonce: 5 as unknown as bigint }],
    ["a string for bytes", { encrypted_blob: "AAAA" as unknown as Uint8Array }],
  ];
  test.each(misfits)("%s is never written cut or wrapped", (_what, change) => {
    expect(() => Entry.encodeProtobuf({ ...entry, ...change })).toThrow();
    expect(() => Entry.encodeJson({ ...entry, ...change })).toThrow();
  });

  test.each([2 ** 31, 1.5, Number.NaN])("the int32 %p is never written cut or wrapped", (nonce) => {
    const pair = messageNamed("CredentialPair");
    const value = { email: "a@b.example", auth_string: new Uint8Array(), nonce };
    expect(() => pair.encodeProtobuf(value)).toThrow(RangeError);
    expect(() => pair.encodeJson(value)).toThrow(RangeError);
  });
});
