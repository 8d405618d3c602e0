import { Writer } from "protobufjs/minimal.js";
import { splitMicros } from "./timestamp.ts";
import { UUID_BYTES, writeUuidBytes } from "./uuid.ts";

const halves = new DataView(new ArrayBuffer(8));

/** A whole Uuid submessage: its length, the tag of `value`, the length of `value`, then the 16 bytes. */
const UUID_HEAD = [UUID_BYTES + 2, (1 << 3) | 2, UUID_BYTES];
const uuidMessage = Uint8Array.of(...UUID_HEAD, ...new Uint8Array(UUID_BYTES));

/**
 * Bodies are written one at a time, so all writers share this buffer; a body is copied out of it. A buffer that grows
 * with each long list, from nothing, would cost as much as the writing itself.
 */
let sharedBuffer: Uint8Array = new Uint8Array(64 * 1024);
/** A buffer that had to grow further than this is not kept. */
const SHARED_BYTES_MAX = 8 * 1024 * 1024;

/** Tags of Timestamp's two fields, both varints. */
const SECS_TAG = 1 << 3;
const NANOS_TAG = 2 << 3;

type Long = Exclude<Parameters<Writer["uint64"]>[0], number | string>;

/**
 * protobufjs' writer plus what it lacks here: exact 64-bit integers from bigint (protobufjs silently writes 0 for
 * one), and the two submessages that are plain values in code.
 */
export class BodyWriter extends Writer {
  /** @throws RangeError when the value does not fit */
  bigInt64(value: bigint): void {
    halves.setBigInt64(0, value, true);
    if (halves.getBigInt64(0, true) !== value) throw new RangeError("the value does not fit into int64");
    this.writeHalves();
  }

  /** @throws RangeError when the value does not fit */
  bigUint64(value: bigint): void {
    halves.setBigUint64(0, value, true);
    if (halves.getBigUint64(0, true) !== value) throw new RangeError("the value does not fit into uint64");
    this.writeHalves();
  }

  /** @throws TypeError when the text is no UUID */
  uuid(text: string): void {
    if (!writeUuidBytes(text, uuidMessage, UUID_HEAD.length)) throw new TypeError("the value is not a UUID");
    this.raw(uuidMessage);
  }

  /** @throws RangeError outside the years 1970 to 9999 */
  timestamp(micros: bigint): void {
    const { seconds, nanos } = splitMicros(micros);
    this.fork().uint32(SECS_TAG).uint64(seconds).uint32(NANOS_TAG).uint32(nanos).ldelim();
  }

  /** Runs `write` on a writer. @returns what it wrote */
  static bodyOf(write: (writer: BodyWriter) => void): Uint8Array<ArrayBuffer> {
    const writer = new BodyWriter();
    writer.buf = sharedBuffer;
    write(writer);
    if (writer.buf.length <= SHARED_BYTES_MAX) sharedBuffer = writer.buf;
    return new Uint8Array(writer.buf.subarray(0, writer.pos));
  }

  private writeHalves(): void {
    // protobufjs only looks at the two halves, so a whole Long need not be made.
    this.uint64({ low: halves.getInt32(0, true), high: halves.getInt32(4, true) } as Long);
  }
}
