import type { TObject } from "typebox";
import type { Field, Presence } from "./field.ts";
import { readInTurns } from "./inTurns.ts";
import type { Kind } from "./kind.ts";
import { messageKind } from "./messageKind.ts";
import type { Encoding } from "./negotiation.ts";
import { BodyReader } from "./reader.ts";
import { asRefusal, Refusal } from "./refusal.ts";
import type { Turns } from "./turns.ts";
import { BodyWriter } from "./writer.ts";

export type Fields = Readonly<Record<string, Field>>;

/** A message in all its forms, made from one definition. `T` is its type in code. */
export interface Message<T = unknown> {
  readonly name: string;
  readonly fields: Fields;
  /** The JSON form as JSON Schema. */
  readonly schema: TObject;
  /** For definitions that hold this message in a field. */
  readonly kind: Kind<T>;
  /**
   * Byte fields of the result are views of `body`.
   * @throws ApiError PREHANDLER for what cannot be read, INVALID_MESSAGE for a Uuid or Timestamp that is none (W17)
   */
  decodeProtobuf(body: Uint8Array): T;
  /** @throws TypeError or RangeError for a value that is not of this type: a mistake of ours, not of a client */
  encodeProtobuf(value: T | Encodable<T>): Uint8Array<ArrayBuffer>;
  /** @param body JSON text, or its UTF-8 bytes. @throws ApiError as decodeProtobuf */
  decodeJson(body: string | Uint8Array): T;
  /**
   * As the two above, but lets other requests have their turn in between: for large bodies.
   * @throws ApiError as decodeProtobuf, and TOO_MANY_REQUESTED when `turns` says so
   */
  decodeInTurns(encoding: Encoding, body: Uint8Array, turns: Turns): Promise<T>;
  /** @throws TypeError or RangeError as encodeProtobuf */
  encodeJson(value: T | Encodable<T>): string;
}

/** The type in code of a message definition: `type Entry = MessageType<typeof Entry>`. */
export type MessageType<M> = M extends Message<infer T> ? T : never;

/** What can be encoded as T: also a database row, where an absent optional field is null. */
export type Encodable<T> = T extends string | number | bigint | boolean | Uint8Array
  ? T
  : T extends readonly (infer E)[]
    ? readonly Encodable<E>[]
    : { [K in keyof T]: Encodable<T[K]> | (undefined extends T[K] ? null : never) };

type KeysOf<F extends Fields, P extends Presence> = {
  [K in keyof F]: F[K]["presence"] extends P ? K : never;
}[keyof F];
type ElementOf<F> = F extends Field<infer T> ? T : never;
type ValueOf<F extends Fields> = Merge<
  { [K in KeysOf<F, "required">]: ElementOf<F[K]> } & { [K in KeysOf<F, "repeated">]: ElementOf<F[K]>[] } & {
    [K in KeysOf<F, "optional">]?: ElementOf<F[K]>;
  }
>;
/** Shows an intersection as the one object type it is. */
type Merge<T> = { [K in keyof T]: T[K] };

/**
 * Defines a message once for static type, JSON check, OpenAPI schema, protobuf codec and `.proto` text.
 * @throws Error when two fields share a number
 */
export function defineMessage<F extends Fields>(name: string, fields: F): Message<ValueOf<F>> {
  const kind = messageKind<ValueOf<F>>(name, fields);
  const holdsLists = Object.values(fields).some(({ presence }) => presence === "repeated");
  return {
    name,
    fields,
    kind,
    get schema() {
      return kind.schema;
    },
    decodeProtobuf: (body) => refusing(name, () => kind.readAll(new BodyReader(body))),
    encodeProtobuf: (value) => BodyWriter.bodyOf((writer) => kind.writeFields(writer, value as ValueOf<F>)),
    decodeJson: (body) =>
      refusing(name, () => {
        if (!holdsLists) requireFewMembers(body);
        const json = parseJson(body);
        if (!kind.accepts(json)) throw kind.explain(json);
        return kind.fromJson(json as Record<string, unknown>);
      }),
    async decodeInTurns(encoding, body, turns) {
      try {
        return await readInTurns(kind, encoding, body, turns);
      } catch (error) {
        throw asRefusal(error).toApiError(name);
      }
    },
    encodeJson: (value) => JSON.stringify(kind.toJson(value as ValueOf<F>)),
  };
}

function refusing<T>(messageName: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw asRefusal(error).toApiError(messageName);
  }
}

/** No message without lists has a tenth as many. Beyond, JSON.parse alone would hold up every other request. */
const COLONS_MAX = 1000;

/** @throws Refusal for an object of thousands of members, before it is built */
function requireFewMembers(body: string | Uint8Array): void {
  const bytes =
    typeof body === "string" ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  let colons = 0;
  for (let at = bytes.indexOf(":"); at !== -1; at = bytes.indexOf(":", at + 1)) {
    colons++;
    if (colons > COLONS_MAX) throw new Refusal("PREHANDLER", "has more members than any message");
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

function parseJson(body: string | Uint8Array): unknown {
  let text: string;
  try {
    text = typeof body === "string" ? body : strictUtf8.decode(body);
  } catch {
    throw new Refusal("PREHANDLER", "is not valid UTF-8");
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal("PREHANDLER", "is not valid JSON");
  }
}
