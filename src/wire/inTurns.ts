/**
 * Reads large bodies element by element, so that other requests get their turn in between. Refuses what reading in one
 * go refuses; it may name another reason when there are several, and it looks at every one of duplicate keys.
 */
import { JsonScanner } from "./jsonScanner.ts";
import { MessageCodec, type MessageKind, type NamedField, type Values } from "./messageKind.ts";
import type { Encoding } from "./negotiation.ts";
import { BodyReader } from "./reader.ts";
import { asRefusal, Refusal } from "./refusal.ts";
import type { Turns } from "./turns.ts";

/** @throws Refusal */
export async function readInTurns<T>(
  kind: MessageKind<T>,
  encoding: Encoding,
  body: Uint8Array,
  turns: Turns,
): Promise<T> {
  if (!(kind instanceof MessageCodec)) throw new TypeError("only messages are read in turns");
  const values =
    encoding === "json" ? await readJson(kind, body, turns) : await readFields(kind, new BodyReader(body), turns);
  return values as T;
}

async function readFields(codec: MessageCodec, reader: BodyReader, turns: Turns): Promise<Values> {
  const values = codec.empty();
  while (reader.pos < reader.len) {
    const list = listAhead(codec, reader);
    if (list) await readElement(list, reader, values, turns);
    else codec.readField(reader, values);
    await turns.step();
  }
  return codec.complete(values);
}

interface LongList {
  name: string;
  codec: MessageCodec;
}

/** The list that the next field belongs to, if its elements hold lists themselves. */
function listAhead(codec: MessageCodec, reader: BodyReader): LongList | undefined {
  const start = reader.pos;
  try {
    return longListOf(codec.fieldOfTag(reader.tag()));
  } catch {
    return undefined; // whoever reads the field says what is wrong with it
  } finally {
    reader.pos = start;
  }
}

function longListOf(field: NamedField | undefined): LongList | undefined {
  if (field?.presence !== "repeated" || !(field.kind instanceof MessageCodec)) return undefined;
  return field.kind.holdsLists ? { name: field.name, codec: field.kind } : undefined;
}

async function readElement(list: LongList, reader: BodyReader, values: Values, turns: Turns): Promise<void> {
  const elements = values[list.name] as unknown[];
  try {
    reader.tag();
    const outerEnd = reader.enter();
    elements.push(await readFields(list.codec, reader, turns));
    reader.leave(outerEnd);
  } catch (error) {
    throw asRefusal(error).inside(list.name, elements.length);
  }
}

async function readJson(codec: MessageCodec, body: Uint8Array, turns: Turns): Promise<Values> {
  const scanner = new JsonScanner(body, turns);
  await scanner.skipSpace();
  const values = await readObject(codec, scanner, turns);
  await scanner.skipSpace();
  if (!scanner.isAtEnd()) throw new Refusal("PREHANDLER", "is not valid JSON");
  return values;
}

async function readObject(codec: MessageCodec, scanner: JsonScanner, turns: Turns): Promise<Values> {
  if (!scanner.take("{")) {
    scanner.value();
    throw new Refusal("PREHANDLER", "must be a JSON object");
  }
  const values = codec.empty();
  await scanner.skipSpace();
  if (scanner.take("}")) return codec.complete(values);
  do {
    await scanner.skipSpace();
    const field = codec.fieldNamed(scanner.name());
    await scanner.skipSpace();
    scanner.expect(":");
    await scanner.skipSpace();
    values[field.name] = await readMember(field, scanner, turns);
    await scanner.skipSpace();
    await turns.step();
  } while (scanner.take(","));
  scanner.expect("}");
  return codec.complete(values);
}

async function readMember(field: NamedField, scanner: JsonScanner, turns: Turns): Promise<unknown> {
  if (field.presence === "repeated") return readList(field, scanner, turns);
  try {
    return readOne(field, scanner);
  } catch (error) {
    throw asRefusal(error).inside(field.name);
  }
}

async function readList(field: NamedField, scanner: JsonScanner, turns: Turns): Promise<unknown[]> {
  if (!scanner.take("[")) {
    scanner.value();
    throw new Refusal("PREHANDLER", "must be a list").inside(field.name);
  }
  const elements: unknown[] = [];
  await scanner.skipSpace();
  if (scanner.take("]")) return elements;
  const list = longListOf(field);
  do {
    await scanner.skipSpace();
    try {
      elements.push(list ? await readObject(list.codec, scanner, turns) : readOne(field, scanner));
    } catch (error) {
      throw asRefusal(error).inside(field.name, elements.length);
    }
    await scanner.skipSpace();
    await turns.step();
  } while (scanner.take(","));
  scanner.expect("]");
  return elements;
}

function readOne({ kind }: NamedField, scanner: JsonScanner): unknown {
  const json = scanner.value();
  if (!kind.accepts(json)) throw kind.explain(json);
  return kind.fromJson(json as never);
}
