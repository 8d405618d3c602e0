import type { Static, TSchema } from "typebox";
import { Compile } from "typebox/compile";
import type { BodyReader, WireType } from "./reader.ts";
import type { Refusal } from "./refusal.ts";
import type { BodyWriter } from "./writer.ts";

/**
 * What a field can hold, in all its forms: the value `T` in code, the JSON that the schema `S` describes, and the
 * protobuf type. A message is a kind too.
 */
export interface Kind<T = unknown, S extends TSchema = TSchema> {
  /** The type's name in the `.proto` text. */
  readonly protoType: string;
  readonly wireType: WireType;
  /** Describes the JSON form, for OpenAPI and for `accepts`. */
  readonly schema: S;
  /**
   * Reads one value, its tag already read.
   * @param earlier what the same field held before in this message: proto2 merges repeated submessages
   * @throws Refusal or a protobufjs error
   */
  read(reader: BodyReader, earlier: T | undefined): T;
  /** Writes one value, its tag already written. @throws TypeError or RangeError for a value that is not of this kind */
  write(writer: BodyWriter, value: T): void;
  /** Whether the schema accepts this JSON. */
  accepts(json: unknown): boolean;
  /** What is wrong with JSON that `accepts` denies. */
  explain(json: unknown): Refusal;
  /** @param json something that `accepts` allows. @throws Refusal for what a schema cannot tell */
  fromJson(json: Static<S>): T;
  toJson(value: T): unknown;
}

/** A check by the compiled schema. Compiled at the first use, because a start-up should not pay for every message. */
export function lazyCheck(schema: () => TSchema): (json: unknown) => boolean {
  let validator: ReturnType<typeof Compile> | undefined;
  return (json) => {
    validator ??= Compile(schema());
    return validator.Check(json);
  };
}
