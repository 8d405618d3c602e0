import { ERRORS } from "../errors.ts";
import type { Field, Presence } from "./field.ts";
import type { Message } from "./message.ts";

/** Of every message and of the error types. */
export const PROTO_PACKAGE = "entries.serverschema";

/**
 * The `.proto` text (proto2) of these messages, for people who generate a client from it.
 * @param messages every message, also those that others hold in a field
 */
export function protoText(messages: readonly Message[]): string {
  const errorTypes = Object.entries(ERRORS).map(([name, { no }]) => `  ${name} = ${no};\n`);
  const parts = [
    `// Generated from the server's message definitions. Field numbers are frozen.\nsyntax = "proto2";\n`,
    `package ${PROTO_PACKAGE};\n`,
    `enum ErrorType {\n${errorTypes.join("")}}\n`,
    ...messages.map(messageText),
  ];
  return parts.join("\n");
}

function messageText({ name, fields }: Message): string {
  const lines = Object.entries(fields).map(([fieldName, field]) => `  ${fieldText(fieldName, field)}\n`);
  return `message ${name} {\n${lines.join("")}}\n`;
}

function fieldText(name: string, { presence, kind, number }: Field<unknown, Presence>): string {
  return `${presence} ${kind.protoType} ${name} = ${number};`;
}
