/**
 * The file that `backup` writes: one zstd stream with checksum, so that damage shows and `zstd -dc` reads it. In it:
 *
 *     {"format":"entries-server backup","version":1,…}    the header, one line of JSON
 *     {"table":"users","columns":["id",…]}                for each table one line of JSON,
 *     65536                                               then its rows (text format of COPY) in pieces: a line with
 *     …                                                   the size in bytes, and so many bytes,
 *     0                                                   until one of size 0
 *     {"tables":[{"name":"users","rows":12,"sha256":"…"},…],"lines":"…"}   the manifest, one line of JSON
 *
 * A file that does not end with the manifest was torn off. Everything before it is under one of its checksums.
 */
import { type FileHandle, open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";
import Type, { type Static, type TSchema } from "typebox";
import { Check } from "typebox/value";
import { messageOf } from "../db/dataDirectory.ts";

export const FORMAT = "entries-server backup";
/** Counts changes that an older `restore` cannot read. */
export const FORMAT_VERSION = 1;

/** What a header of any version has. */
const Kind = Type.Object({ format: Type.Literal(FORMAT), version: Type.Integer(), server: Type.String() });

const Header = Type.Object({
  format: Type.Literal(FORMAT),
  version: Type.Integer(),
  /** Versions of the server and of its PostgreSQL that made the backup. */
  server: Type.String(),
  postgresql: Type.String(),
  /** Version of the database's schema. */
  schema: Type.Integer({ minimum: 1 }),
  /** When it was begun, ISO 8601. */
  created: Type.String(),
  /** Content of the files in `<data-dir>/secrets/`, by name. */
  secrets: Type.Record(Type.String(), Type.String()),
});
export type Header = Static<typeof Header>;

const Section = Type.Object({ table: Type.String(), columns: Type.Array(Type.String()) });
export type Section = Static<typeof Section>;

const TableSum = Type.Object({ name: Type.String(), rows: Type.Integer({ minimum: 0 }), sha256: Type.String() });
/** How many rows a table has, and the SHA-256 (hex) of all of them in COPY's text format. */
export type TableSum = Static<typeof TableSum>;

/** `lines` is the SHA-256 (hex) of the header and the lines of the tables, each with its end. */
const Manifest = Type.Object({ tables: Type.Array(TableSum), lines: Type.String() });
export type Manifest = Static<typeof Manifest>;

/** A file is no backup, or not a whole one. The message is for the operator and names the file. */
export class BackupUnusable extends Error {
  override readonly name = "BackupUnusable";
}

/** Level 3: blobs are encrypted, so that more effort would only undo their hexadecimal form a little better. */
const COMPRESSION = {
  params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 },
};
const ZSTD_MAGIC = Buffer.from("28b52ffd", "hex");

/** Small rows are put together to pieces of this size, in bytes. */
const PIECE_BYTES = 64 * 1024;
const LINE_BYTES_MAX = 1024 * 1024;
const NEWLINE = 10;

/** Compresses what `encodeBackup` yields. */
export function compressor() {
  return createZstdCompress(COMPRESSION);
}

/**
 * The bytes of a backup before compression; no more than a piece or one larger row is held in memory.
 *
 * @param tables gets the manifest
 */
export async function* encodeBackup(
  header: Header,
  sections: AsyncIterable<Section & { rows: AsyncIterable<Uint8Array> }>,
  tables: TableSum[],
): AsyncGenerator<Uint8Array> {
  const lines = new Bun.CryptoHasher("sha256");
  const hashedLine = (value: Header | Section) => {
    const line = jsonLine(value);
    lines.update(line);
    return line;
  };
  yield hashedLine(header);
  for await (const { rows, ...section } of sections) {
    yield hashedLine(section);
    const sum = new RunningSum(section.table);
    for await (const piece of inPieces(rows)) {
      sum.add(piece);
      yield Buffer.from(`${piece.length}\n`);
      yield piece;
    }
    yield Buffer.from("0\n");
    tables.push(sum.total());
  }
  yield jsonLine({ tables, lines: lines.digest("hex") });
}

async function* inPieces(rows: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of rows) {
    waiting.push(chunk);
    size += chunk.length;
    if (size < PIECE_BYTES) continue;
    yield Buffer.concat(waiting);
    waiting = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(waiting);
}

function jsonLine(value: Header | Section | Manifest): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/** Counts and hashes the rows of a table as they pass. */
export class RunningSum {
  readonly #name: string;
  readonly #hash = new Bun.CryptoHasher("sha256");
  #rows = 0;

  constructor(name: string) {
    this.#name = name;
  }

  add(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) this.#rows++;
  }

  total(): TableSum {
    return { name: this.#name, rows: this.#rows, sha256: this.#hash.digest("hex") };
  }
}

/** True when two sums are of the same rows. */
export function isSameSum(one: TableSum | undefined, other: TableSum): boolean {
  return one?.rows === other.rows && one.sha256 === other.sha256;
}

/** Reads a backup from its beginning to its end. Whether rows are what the manifest says is for the caller to check. */
export class BackupReader {
  readonly header: Header;
  readonly #file: string;
  readonly #source: ByteSource;
  readonly #handle: FileHandle;
  /** Of what the manifest calls `lines`. */
  readonly #lines = new Bun.CryptoHasher("sha256");

  private constructor(file: string, handle: FileHandle, source: ByteSource, header: Header, headerLine: string) {
    this.#lines.update(`${headerLine}\n`);
    this.#file = file;
    this.#handle = handle;
    this.#source = source;
    this.header = header;
  }

  /** @throws BackupUnusable when it is no backup, or one of a newer format; Error when it cannot be read at all */
  static async open(file: string): Promise<BackupReader> {
    const handle = await open(file).catch((error) => {
      throw new Error(`Cannot read the backup ${file}: ${messageOf(error)}`);
    });
    try {
      const source = new ByteSource(decompressed(file, handle));
      const line = await source.line();
      if (line === undefined) throw torn(file);
      const kind = parseLine(Kind, line);
      if (!kind) throw foreign(file);
      if (kind.version !== FORMAT_VERSION) {
        throw new BackupUnusable(`${file} has format ${kind.version}. Restore it with entries-server ${kind.server}.`);
      }
      const header = parseLine(Header, line);
      if (!header) throw torn(file);
      return new BackupReader(file, handle, source, header, line);
    } catch (error) {
      await handle.close();
      if (error instanceof BackupUnusable) throw error;
      throw new Error(`Cannot read the backup ${file}: ${messageOf(error)}`);
    }
  }

  /** The next table, whose rows must be read before the one after it; at the end the manifest. @throws BackupUnusable */
  async next(): Promise<Section | Manifest> {
    const line = await this.#source.line();
    const section = parseLine(Section, line);
    if (section) {
      this.#lines.update(`${line}\n`);
      return section;
    }
    const manifest = parseLine(Manifest, line);
    const isEnd = manifest && (await this.#source.bytes(1)) === undefined;
    if (!isEnd || manifest.lines !== this.#lines.digest("hex")) throw torn(this.#file);
    return manifest;
  }

  /** The rows of the table that `next` told of, in pieces that may end anywhere. @throws BackupUnusable */
  async *rows(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const line = await this.#source.line();
      if (line === undefined || !/^\d{1,10}$/.test(line)) throw torn(this.#file);
      if (line === "0") return;
      let missing = Number(line);
      while (missing > 0) {
        const chunk = await this.#source.bytes(missing);
        if (chunk === undefined) throw torn(this.#file);
        missing -= chunk.length;
        yield chunk;
      }
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** @throws BackupUnusable when what is read is no zstd stream, or a damaged or torn one */
async function* decompressed(file: string, handle: FileHandle): AsyncGenerator<Uint8Array> {
  const start = Buffer.alloc(ZSTD_MAGIC.length);
  await handle.read(start, 0, start.length, 0);
  if (!start.equals(ZSTD_MAGIC)) throw foreign(file);
  const zstd = createZstdDecompress();
  const compressed = handle.createReadStream({ start: 0, autoClose: false });
  const feeding = pipeline(compressed, zstd).catch(() => {}); // whoever reads gets the error, too
  try {
    yield* zstd;
  } catch {
    throw torn(file);
  } finally {
    zstd.destroy();
    await feeding;
  }
}

function foreign(file: string): BackupUnusable {
  return new BackupUnusable(`${file} is no backup of an entries-server.`);
}

function torn(file: string): BackupUnusable {
  return new BackupUnusable(`The backup ${file} is damaged or not whole.`);
}

function parseLine<Schema extends TSchema>(schema: Schema, line: string | undefined): Static<Schema> | undefined {
  try {
    const value: unknown = JSON.parse(line ?? "");
    return Check(schema, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Cuts a stream of bytes into lines and counted pieces. */
class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #buffer: Uint8Array = new Uint8Array();

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** A line without its end; undefined at the end of the stream, or when the line has none within LINE_BYTES_MAX. */
  async line(): Promise<string | undefined> {
    let end = this.#buffer.indexOf(NEWLINE);
    while (end < 0) {
      if (this.#buffer.length > LINE_BYTES_MAX) return undefined;
      const { value, done } = await this.#chunks.next();
      if (done) return undefined;
      this.#buffer = Buffer.concat([this.#buffer, value]);
      end = this.#buffer.indexOf(NEWLINE);
    }
    const line = Buffer.from(this.#buffer.subarray(0, end)).toString();
    this.#buffer = this.#buffer.subarray(end + 1);
    return line;
  }

  /** At least one byte and at most `max`; undefined at the end of the stream. */
  async bytes(max: number): Promise<Uint8Array | undefined> {
    while (this.#buffer.length === 0) {
      const { value, done } = await this.#chunks.next();
      if (done) return undefined;
      this.#buffer = value;
    }
    const taken = this.#buffer.subarray(0, max);
    this.#buffer = this.#buffer.subarray(taken.length);
    return taken;
  }
}
