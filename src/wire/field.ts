/**
 * The builders a message definition is made of. The argument is the field's number on the wire, frozen once
 * released (messages.md). A field is required unless it is wrapped in `optional` or is a list.
 */
import type { ErrorType } from "../errors.ts";
import type { Kind } from "./kind.ts";
import type { Message } from "./message.ts";
import {
  boolKind,
  bytesKind,
  errorTypeKind,
  int32Kind,
  int64Kind,
  stringKind,
  timestampKind,
  uint32Kind,
  uint64Kind,
  uuidKind,
} from "./scalars.ts";

export type Presence = "required" | "optional" | "repeated";

/** One field of a message: `T` is the type of one element in code. */
export interface Field<T = unknown, P extends Presence = Presence> {
  readonly number: number;
  readonly presence: P;
  readonly kind: Kind<T>;
}

export type RequiredField<T> = Field<T, "required">;

function required<T>(number: number, kind: Kind<T>): RequiredField<T> {
  return { number, presence: "required", kind };
}

/** True or false. */
export const bool = (number: number): RequiredField<boolean> => required(number, boolKind);
/** A decoded value is a view of the request body: copy it before keeping it longer than the request. */
export const bytes = (number: number): RequiredField<Uint8Array> => required(number, bytesKind);
/** Valid UTF-8, of any length. */
export const string = (number: number): RequiredField<string> => required(number, stringKind);
/** A number from -2^31 to 2^31 - 1. */
export const int32 = (number: number): RequiredField<number> => required(number, int32Kind);
/** A bigint from -2^63 to 2^63 - 1. */
export const int64 = (number: number): RequiredField<bigint> => required(number, int64Kind);
/** A number from 0 to 2^32 - 1. */
export const uint32 = (number: number): RequiredField<number> => required(number, uint32Kind);
/** A bigint from 0 to 2^64 - 1. */
export const uint64 = (number: number): RequiredField<bigint> => required(number, uint64Kind);
/** Canonical lower-case text in code. */
export const uuid = (number: number): RequiredField<string> => required(number, uuidKind);
/** Microseconds since the Unix epoch in code. */
export const timestamp = (number: number): RequiredField<bigint> => required(number, timestampKind);
/** The error's name in code. */
export const errorType = (number: number): RequiredField<ErrorType> => required(number, errorTypeKind);
/** Another message. */
export const message = <T>(number: number, of: Message<T>): RequiredField<T> => required(number, of.kind);

/** Any number of messages, also none; absent means none. */
export function list<T>(number: number, of: Message<T>): Field<T, "repeated"> {
  return { number, presence: "repeated", kind: of.kind };
}

/** Any number of strings, also none; absent means none. */
export function strings(number: number): Field<string, "repeated"> {
  return { number, presence: "repeated", kind: stringKind };
}

/** A field that may be absent: its key is then absent in code and in JSON. */
export function optional<T>(field: RequiredField<T>): Field<T, "optional"> {
  return { ...field, presence: "optional" };
}
