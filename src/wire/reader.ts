import { Reader } from "protobufjs/minimal.js";
import { Refusal } from "./refusal.ts";
import { joinMicros, MAX_SECONDS } from "./timestamp.ts";
import { UUID_BYTES, uuidText } from "./uuid.ts";

/** Protobuf wire types that this schema uses. */
export const VARINT = 0;
export const LENGTH_DELIMITED = 2;
export type WireType = typeof VARINT | typeof LENGTH_DELIMITED;

const NANOS_PER_SECOND = 1_000_000_000;

/** Turns two 32-bit halves into one bigint, several times faster than shifting bigints. */
const halves = new DataView(new ArrayBuffer(8));

/**
 * protobufjs' reader plus what it lacks here: exact 64-bit integers as bigint, and the two submessages that are
 * plain values in code. Throws a Refusal, or whatever protobufjs throws on bytes that are no message.
 */
export class BodyReader extends Reader {
  /** @param body read in place: decoded bytes are views of it */
  constructor(body: Uint8Array) {
    // A Buffer's slices would be Buffers; everybody after us expects plain Uint8Arrays.
    super(body.constructor === Uint8Array ? body : new Uint8Array(body.buffer, body.byteOffset, body.byteLength));
  }

  bigInt64(): bigint {
    this.loadHalves();
    return halves.getBigInt64(0, true);
  }

  bigUint64(): bigint {
    this.loadHalves();
    return halves.getBigUint64(0, true);
  }

  /** Strict UTF-8, which protobufjs' `string` is not (W17). */
  text(): string {
    try {
      return this.stringVerify();
    } catch (error) {
      if (error instanceof TypeError) throw new Refusal("PREHANDLER", "is not valid UTF-8");
      throw error;
    }
  }

  /**
   * Narrows the reader to the submessage that starts here.
   * @returns the outer end, for `leave`
   */
  enter(): number {
    const end = this.size() + this.pos;
    if (end > this.len) throw new RangeError("the submessage is longer than what holds it");
    const outerEnd = this.len;
    this.len = end;
    return outerEnd;
  }

  /** @param outerEnd what `enter` returned */
  leave(outerEnd: number): void {
    this.len = outerEnd;
  }

  /** Skips a field that this version does not know. @param tag as read by `tag()` */
  skipUnknown(tag: number): void {
    this.skipType(tag & 7, 0, tag >>> 3);
  }

  /** The submessage Uuid as canonical text. @throws Refusal unless it holds exactly 16 bytes */
  uuid(): string {
    const outerEnd = this.enter();
    let start = -1;
    let length = 0;
    while (this.pos < this.len) {
      const tag = this.tag();
      if (tag >>> 3 !== 1) {
        this.skipUnknown(tag);
        continue;
      }
      expectWireType(tag, LENGTH_DELIMITED, "value");
      length = this.size();
      start = this.pos;
      this.skip(length);
    }
    this.leave(outerEnd);
    if (start < 0) throw missing("value");
    if (length !== UUID_BYTES) throw new Refusal("INVALID_MESSAGE", "is not a UUID: it needs exactly 16 bytes");
    return uuidText(this.buf, start);
  }

  /** The submessage Timestamp as microseconds since the epoch; digits below are cut. @throws Refusal out of range */
  timestamp(): bigint {
    const outerEnd = this.enter();
    let seconds: number | undefined;
    let nanos: number | undefined;
    while (this.pos < this.len) {
      const tag = this.tag();
      if (tag >>> 3 === 1) {
        expectWireType(tag, VARINT, "secs");
        this.loadHalves();
        // Not exact past 2^53, which is far beyond what is allowed anyway.
        seconds = halves.getUint32(4, true) * 2 ** 32 + halves.getUint32(0, true);
      } else if (tag >>> 3 === 2) {
        expectWireType(tag, VARINT, "nanos");
        nanos = this.uint32();
      } else {
        this.skipUnknown(tag);
      }
    }
    this.leave(outerEnd);
    if (seconds === undefined) throw missing("secs");
    if (nanos === undefined) throw missing("nanos");
    if (nanos >= NANOS_PER_SECOND) throw new Refusal("INVALID_MESSAGE", "has nanos of a whole second or more");
    if (seconds > MAX_SECONDS) throw new Refusal("INVALID_MESSAGE", "lies outside the years 1970 to 9999");
    return joinMicros(seconds, nanos);
  }

  private loadHalves(): void {
    const { low, high } = this.uint64();
    halves.setInt32(0, low, true);
    halves.setInt32(4, high, true);
  }
}

/** The refusal of a message that lacks a required field. */
export function missing(fieldName: string): Refusal {
  return new Refusal("PREHANDLER", "is missing").inside(fieldName);
}

function expectWireType(tag: number, expected: WireType, fieldName: string): void {
  if ((tag & 7) !== expected) throw wrongWireType().inside(fieldName);
}

/** protobufjs skips a known field of the wrong wire type; the contract refuses it (W17). */
export function wrongWireType(): Refusal {
  return new Refusal("PREHANDLER", "has the wrong protobuf wire type");
}
