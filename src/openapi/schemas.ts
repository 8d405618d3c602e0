/** The JSON form of every message as JSON Schema, made from the definitions; messages refer to each other by name. */
import type { Field } from "../wire/field.ts";
import type { Kind } from "../wire/kind.ts";
import type { Message } from "../wire/message.ts";
import { PROTO_PACKAGE } from "../wire/proto.ts";
import { RFC3339_UTC } from "../wire/timestamp.ts";
import { errorTypeSchema } from "./errorTypes.ts";
import type { JsonObject } from "./json.ts";

interface NamedScalar {
  name: string;
  description: string;
  /** Where the codec checks more than its own schema says. */
  pattern?: string;
  examples: readonly string[];
}

/** The value kinds whose JSON form needs words. They get a name of their own; so do all messages. */
const NAMED_SCALARS: Readonly<Record<string, NamedScalar>> = {
  bytes: {
    name: "Bytes",
    description:
      "Bytes as base64: answers have the standard alphabet with padding; requests may also have the URL-safe one, and no padding.",
    examples: ["AQIDBA=="],
  },
  int64: {
    name: "Int64",
    description:
      "A whole number from -2^63 to 2^63 - 1, exact. Answers have it as decimal text; requests may also have a JSON number that is a safe integer.",
    examples: ["-1234567890123456789"],
  },
  uint64: {
    name: "Uint64",
    description:
      "A whole number from 0 to 2^64 - 1, exact. Answers have it as decimal text; requests may also have a JSON number that is a safe integer.",
    examples: ["18446744073709551615"],
  },
  Uuid: {
    name: "Uuid",
    description: "A UUID as canonical text. Answers have lower-case letters; requests may have any.",
    examples: ["018f3c5e-7a00-7000-8000-0123456789ab"],
  },
  Timestamp: {
    name: "Timestamp",
    description:
      "A UTC time of the years 1970 to 9999 (RFC 3339). Answers have microseconds and `Z`; requests may have up to nine fractional digits, of which those past microseconds are cut, and `+00:00`.",
    pattern: RFC3339_UTC.source,
    examples: ["2026-01-31T08:15:00.123456Z"],
  },
};
const ERROR_TYPE = "ErrorType";

/** @param messages every message, also those that others hold in a field */
export function messageSchemas(messages: readonly Message[]): Record<string, JsonObject> {
  const schemas: Record<string, JsonObject> = { [ERROR_TYPE]: errorTypeSchema() };
  const byName = messages.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, fields } of byName) {
    // These two are messages on the wire and plain text in JSON: their kind says how, when a field needs it.
    if (name === "Uuid" || name === "Timestamp") continue;
    for (const { kind } of Object.values(fields)) describeScalar(kind, schemas);
    schemas[name] = messageSchema(name, fields);
  }
  return schemas;
}

function describeScalar(kind: Kind, schemas: Record<string, JsonObject>): void {
  const named = NAMED_SCALARS[kind.protoType];
  if (!named) return;
  const { name, ...words } = named;
  schemas[name] ??= { ...(kind.schema as object as JsonObject), ...words };
}

function messageSchema(name: string, fields: Readonly<Record<string, Field>>): JsonObject {
  const byNumber = Object.entries(fields).sort(([, a], [, b]) => a.number - b.number);
  const required = byNumber.filter(([, { presence }]) => presence === "required").map(([field]) => field);
  return {
    title: name,
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(byNumber.map(([field, definition]) => [field, fieldSchema(definition)])),
    required: required.length > 0 ? required : undefined,
  };
}

function fieldSchema({ kind, presence }: Field): JsonObject {
  const element = kindSchema(kind);
  return presence === "repeated" ? { type: "array", items: element } : element;
}

function kindSchema(kind: Kind): JsonObject {
  if (kind.protoType === ERROR_TYPE) return schemaRef(ERROR_TYPE);
  const scalar = NAMED_SCALARS[kind.protoType];
  if (scalar) return schemaRef(scalar.name);
  const schema = kind.schema as object as JsonObject;
  if (schema.type === "object") return schemaRef(kind.protoType);
  return schema.type === "integer" ? { ...schema, examples: [1] } : schema;
}

/** Refers to a schema of the document's components. */
export function schemaRef(name: string): JsonObject {
  return { $ref: `#/components/schemas/${name}` };
}

/**
 * The two encodings of a message, as the `content` of a body.
 *
 * @param json how the JSON form is described
 */
export function messageContent(message: Message, json: JsonObject = { schema: schemaRef(message.name) }): JsonObject {
  const fullName = `${PROTO_PACKAGE}.${message.name}`;
  return {
    "application/json": json,
    "application/protobuf": {
      schema: {
        title: message.name,
        type: "string",
        format: "binary",
        description: `The message \`${fullName}\` of [/schema.proto](/schema.proto).`,
        "x-protobuf-message": fullName,
      },
    },
  };
}
