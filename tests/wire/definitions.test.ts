import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import protobuf from "protobufjs";
import { ERRORS } from "../../src/errors.ts";
import { MESSAGES } from "../../src/messages.ts";
import { bool, optional, uuid } from "../../src/wire/field.ts";
import { defineMessage } from "../../src/wire/message.ts";
import { protoText } from "../../src/wire/proto.ts";

const sheet = (await Bun.file(join(import.meta.dir, "messages.txt")).text()).trim().split("\n");
const sheetFields = sheet.filter((line) => line.startsWith("field ")).sort();
const sheetErrors = sheet.filter((line) => line.startsWith("error ")).sort();

const parsed = protobuf.parse(protoText(MESSAGES), { keepCase: true });
parsed.root.resolveAll();
const namespace = parsed.root.lookup("entries.serverschema") as protobuf.Namespace;
const parsedTypes = namespace.nestedArray.filter((nested) => nested instanceof protobuf.Type);

describe("messages.md and new-messages.md: the frozen tables", () => {
  test("the generated .proto is proto2 of package entries.serverschema", () => {
    expect(protoText(MESSAGES)).toContain('syntax = "proto2";\n');
    expect(parsed.package).toBe("entries.serverschema");
  });

  test("the generated .proto has exactly the tables' fields: message, number, name, type, presence", () => {
    const fields = parsedTypes.flatMap((type) =>
      type.fieldsArray.map((field) => {
        const presence = field.repeated ? "repeated" : field.required ? "required" : "optional";
        return `field ${type.name} ${field.id} ${field.name} ${field.type} ${presence}`;
      }),
    );
    expect(fields.sort()).toEqual(sheetFields);
  });

  test("the generated .proto has exactly the table's error types", () => {
    const errorType = namespace.lookupEnum("ErrorType");
    const lines = Object.entries(errorType.values).map(([name, number]) => {
      const status = Object.entries(ERRORS).find(([known]) => known === name)?.[1].status;
      return `error ${number} ${name} ${status}`;
    });
    expect(lines.sort()).toEqual(sheetErrors);
  });

  test("the JSON schema of every message has exactly the table's fields and requires the required ones", () => {
    const fields = MESSAGES.flatMap(({ name, schema }) =>
      Object.keys(schema.properties).map((field) => `${name}.${field} ${schema.required?.includes(field) ?? false}`),
    );
    const expected = sheetFields.map((line) => {
      const [, message, , field, , presence] = line.split(" ");
      return `${message}.${field} ${presence === "required"}`;
    });
    expect(fields.sort()).toEqual(expected.sort());
  });

  test("the JSON schema of every message refuses unknown fields and names its message", () => {
    for (const { name, schema } of MESSAGES) {
      expect(schema).toMatchObject({ type: "object", additionalProperties: false, title: name });
    }
  });

  test("every message is listed once", () => {
    const names = MESSAGES.map(({ name }) => name);
    expect(names.toSorted()).toEqual([...new Set(names)].sort());
  });

  test("two fields of one number are refused when the message is defined", () => {
    expect(() => defineMessage("Twice", { id: uuid(1), is_own: bool(1) })).toThrow("Twice has two fields numbered 1");
  });
});

describe("W13: a message with a new optional field", () => {
  const Old = defineMessage("MemberKey", { key_id: uuid(1), read_only: bool(2) });
  const New = defineMessage("MemberKey", { key_id: uuid(1), read_only: bool(2), is_own: optional(bool(3)) });
  const old = { key_id: "018f3c5e-7a00-7000-8000-0123456789ab", read_only: true };

  test("is read from a client that does not know the field", () => {
    expect(New.decodeProtobuf(Old.encodeProtobuf(old))).toStrictEqual(old);
  });

  test("is read by a client that does not know the field", () => {
    expect(Old.decodeProtobuf(New.encodeProtobuf({ ...old, is_own: true }))).toStrictEqual(old);
  });
});
