import Type, { type TObject, type TSchema } from "typebox";
import type { Field } from "./field.ts";
import { type Kind, lazyCheck } from "./kind.ts";
import { type BodyReader, LENGTH_DELIMITED, missing, wrongWireType } from "./reader.ts";
import { asRefusal, Refusal } from "./refusal.ts";
import type { BodyWriter } from "./writer.ts";

export type Values = Record<string, unknown>;
export type NamedField = Field & { readonly name: string; readonly tag: number };

/** A message as the kind of a field, and as the whole of a body. */
export interface MessageKind<T> extends Kind<T, TObject> {
  /** Reads fields up to the reader's end. */
  readAll(reader: BodyReader): T;
  /** Writes the fields alone, without a length in front. */
  writeFields(writer: BodyWriter, value: T): void;
}

/** @throws Error when two fields share a number */
export function messageKind<T>(name: string, definition: Readonly<Record<string, Field>>): MessageKind<T> {
  const codec = new MessageCodec(name, definition);
  // The codec handles fields by name and number; that the result is a T is the definition's own typing.
  return codec as MessageKind<unknown> as MessageKind<T>;
}

/** Both encodings of a message, field by field. */
export class MessageCodec implements MessageKind<Values> {
  readonly wireType = LENGTH_DELIMITED;
  private readonly fields: readonly NamedField[];
  private readonly byNumber: (NamedField | undefined)[] = [];
  private readonly byName: ReadonlyMap<string, NamedField>;
  private readonly repeated: readonly string[];
  private readonly required: readonly string[];
  readonly accepts = lazyCheck(() => this.schema);
  private lazySchema: TObject | undefined;

  constructor(
    readonly protoType: string,
    definition: Readonly<Record<string, Field>>,
  ) {
    this.fields = Object.entries(definition)
      .map(([name, field]) => ({ ...field, name, tag: (field.number << 3) | field.kind.wireType }))
      .sort((a, b) => a.number - b.number);
    this.byName = new Map(this.fields.map((field) => [field.name, field]));
    this.repeated = namesOf(this.fields, "repeated");
    this.required = namesOf(this.fields, "required");
    for (const field of this.fields) {
      if (this.byNumber[field.number]) throw new Error(`${protoType} has two fields numbered ${field.number}`);
      this.byNumber[field.number] = field;
    }
  }

  get schema(): TObject {
    this.lazySchema ??= Type.Object(Object.fromEntries(this.fields.map((field) => [field.name, schemaOf(field)])), {
      additionalProperties: false,
      title: this.protoType,
    });
    return this.lazySchema;
  }

  read(reader: BodyReader, earlier: Values | undefined): Values {
    const outerEnd = reader.enter();
    const values = this.readAll(reader, earlier);
    reader.leave(outerEnd);
    return values;
  }

  readAll(reader: BodyReader, earlier?: Values): Values {
    const values = earlier ?? this.empty();
    while (reader.pos < reader.len) this.readField(reader, values);
    return this.complete(values);
  }

  /** Reads the field that starts here, its tag included. */
  readField(reader: BodyReader, values: Values): void {
    let field: NamedField | undefined;
    try {
      const tag = reader.tag();
      field = this.byNumber[tag >>> 3];
      if (field === undefined) reader.skipUnknown(tag);
      else if (tag !== field.tag) throw wrongWireType();
      else if (field.presence === "repeated")
        (values[field.name] as unknown[]).push(field.kind.read(reader, undefined));
      else values[field.name] = field.kind.read(reader, values[field.name]);
    } catch (error) {
      if (field === undefined) throw asRefusal(error);
      const index = field.presence === "repeated" ? (values[field.name] as unknown[]).length : undefined;
      throw asRefusal(error).inside(field.name, index);
    }
  }

  /** @throws Refusal when a required field is missing */
  complete(values: Values): Values {
    for (const name of this.required) if (values[name] === undefined) throw missing(name);
    return values;
  }

  /** The field of a tag, unless the body gives it another wire type. */
  fieldOfTag(tag: number): NamedField | undefined {
    const field = this.byNumber[tag >>> 3];
    return field?.tag === tag ? field : undefined;
  }

  /** @throws Refusal when there is none */
  fieldNamed(name: string): NamedField {
    const field = this.byName.get(name);
    if (field === undefined) throw unknownField(name);
    return field;
  }

  get holdsLists(): boolean {
    return this.repeated.length > 0;
  }

  /** Every list, empty. */
  empty(): Values {
    const values: Values = {};
    for (const name of this.repeated) values[name] = [];
    return values;
  }

  write(writer: BodyWriter, value: Values): void {
    writer.fork();
    this.writeFields(writer, value);
    writer.ldelim();
  }

  writeFields(writer: BodyWriter, values: Values): void {
    for (const field of this.fields) {
      const value = values[field.name];
      if (value === undefined || value === null) {
        if (field.presence !== "optional") throw this.noValue(field);
      } else if (field.presence === "repeated") {
        for (const element of value as unknown[]) {
          writer.uint32(field.tag);
          field.kind.write(writer, element);
        }
      } else {
        writer.uint32(field.tag);
        field.kind.write(writer, value);
      }
    }
  }

  fromJson(json: Values): Values {
    const values: Values = {};
    let field: NamedField | undefined;
    let index: number | undefined;
    try {
      for (field of this.fields) {
        index = undefined;
        const item = json[field.name];
        if (field.presence === "repeated") {
          const elements: unknown[] = [];
          index = 0;
          for (const element of (item ?? []) as unknown[]) {
            elements.push(field.kind.fromJson(element));
            index++;
          }
          values[field.name] = elements;
        } else if (item !== undefined) values[field.name] = field.kind.fromJson(item);
      }
    } catch (error) {
      throw field === undefined ? error : asRefusal(error).inside(field.name, index);
    }
    return values;
  }

  toJson(values: Values): Values {
    const json: Values = {};
    for (const field of this.fields) {
      const value = values[field.name];
      if (value === undefined || value === null) {
        if (field.presence !== "optional") throw this.noValue(field);
      } else if (field.presence === "repeated") {
        json[field.name] = (value as unknown[]).map((element) => field.kind.toJson(element));
      } else json[field.name] = field.kind.toJson(value);
    }
    return json;
  }

  /** Finds the first thing the schema denies. The library's own list of errors walks the whole body for minutes. */
  explain(json: unknown): Refusal {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      return new Refusal("PREHANDLER", "must be a JSON object");
    }
    // Not Object.entries: a hostile body may have a million members, and the first one is enough.
    for (const name in json) {
      const item = (json as Record<string, unknown>)[name];
      const field = this.byName.get(name);
      if (field === undefined) return unknownField(name);
      const refusal = field.presence === "repeated" ? explainList(field, item) : explainOne(field, item);
      if (refusal !== undefined) return refusal;
    }
    const absent = this.required.find((name) => !Object.hasOwn(json, name));
    return absent === undefined ? new Refusal("PREHANDLER", "is not as the schema says") : missing(absent);
  }

  private noValue(field: NamedField): TypeError {
    return new TypeError(`${this.protoType}.${field.name} is required and has no value`);
  }
}

function namesOf(fields: readonly NamedField[], presence: Field["presence"]): string[] {
  return fields.filter((field) => field.presence === presence).map((field) => field.name);
}

function schemaOf(field: NamedField): TSchema {
  if (field.presence === "repeated") return Type.Optional(Type.Array(field.kind.schema));
  return field.presence === "optional" ? Type.Optional(field.kind.schema) : field.kind.schema;
}

const SHOWN_NAME_LENGTH_MAX = 64;

function unknownField(name: string): Refusal {
  return new Refusal(
    "PREHANDLER",
    `has a field that does not exist: ${JSON.stringify(name.slice(0, SHOWN_NAME_LENGTH_MAX))}`,
  );
}

function explainOne(field: NamedField, item: unknown, index?: number): Refusal | undefined {
  return field.kind.accepts(item) ? undefined : field.kind.explain(item).inside(field.name, index);
}

function explainList(field: NamedField, items: unknown): Refusal | undefined {
  if (!Array.isArray(items)) return new Refusal("PREHANDLER", "must be a list").inside(field.name);
  const index = items.findIndex((item) => !field.kind.accepts(item));
  return index < 0 ? undefined : explainOne(field, items[index], index);
}
