import { Refusal } from "./refusal.ts";
import type { Turns } from "./turns.ts";

/** Characters of a value outside its strings. No element of a list has a hundredth as many. */
const PLAIN_CHARACTERS_MAX = 64 * 1024;
/** White space is passed over in pieces of so many bytes. */
const SPACE_PIECE = 64 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** A byte order mark is only skipped at the start of a body, so not by this. */
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Walks through a JSON text, and parses only values that are small or have nothing but long strings. */
export class JsonScanner {
  private readonly bytes: Buffer;
  private at: number;

  constructor(
    body: Uint8Array,
    private readonly turns: Turns,
  ) {
    this.bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    this.at = BYTE_ORDER_MARK.every((byte, index) => body[index] === byte) ? BYTE_ORDER_MARK.length : 0;
  }

  isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  async skipSpace(): Promise<void> {
    for (let pieceEnd = this.at + SPACE_PIECE; isSpace(this.bytes[this.at]); this.at++) {
      if (this.at < pieceEnd) continue;
      await this.turns.step();
      pieceEnd = this.at + SPACE_PIECE;
    }
  }

  /** Steps over one character, if it comes next. */
  take(character: string): boolean {
    if (this.bytes[this.at] !== character.charCodeAt(0)) return false;
    this.at++;
    return true;
  }

  /** @throws Refusal when another character comes next */
  expect(character: string): void {
    if (!this.take(character)) throw notJson();
  }

  /** Reads the value that starts here. @throws Refusal */
  value(): unknown {
    const start = this.at;
    this.at = this.endOfValue();
    let text: string;
    try {
      text = strictUtf8.decode(this.bytes.subarray(start, this.at));
    } catch {
      throw new Refusal("PREHANDLER", "is not valid UTF-8");
    }
    try {
      return JSON.parse(text);
    } catch {
      throw notJson();
    }
  }

  /** Reads the name of a member. @throws Refusal */
  name(): string {
    if (this.bytes[this.at] !== QUOTE) throw notJson();
    return String(this.value());
  }

  /** Where the value ends by its brackets and quotes; whether it is one, the parser finds out. */
  private endOfValue(): number {
    let depth = 0;
    let at = this.at;
    for (let plain = 0; at < this.bytes.length; plain++) {
      if (plain > PLAIN_CHARACTERS_MAX) throw new Refusal("PREHANDLER", "has more members than any message");
      const byte = this.bytes[at] ?? 0;
      const isSeparator = byte === 0x2c || byte === 0x3a || isSpace(byte);
      const isClosing = byte === 0x7d || byte === 0x5d;
      if (depth === 0 && (isSeparator || isClosing)) return at;
      at = byte === QUOTE ? this.endOfString(at + 1) : at + 1;
      if (byte === 0x7b || byte === 0x5b) depth++;
      if (isClosing) depth--;
      if (depth === 0 && (isClosing || byte === QUOTE)) return at;
    }
    return at;
  }

  /** @param from behind the opening quote */
  private endOfString(from: number): number {
    let quote = this.bytes.indexOf(QUOTE, from);
    for (let escaped = 0; quote !== -1; escaped++) {
      if (escaped > PLAIN_CHARACTERS_MAX) throw new Refusal("PREHANDLER", "has a string with too many quotes");
      let backslashes = 0;
      while (this.bytes[quote - 1 - backslashes] === BACKSLASH) backslashes++;
      if (backslashes % 2 === 0) return quote + 1;
      quote = this.bytes.indexOf(QUOTE, quote + 1);
    }
    throw notJson();
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function notJson(): Refusal {
  return new Refusal("PREHANDLER", "is not valid JSON");
}
