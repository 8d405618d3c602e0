/** A unix datagram socket that something sends to, as systemd has one; Bun and Node know none. */
import { dlopen, FFIType } from "bun:ffi";
import { closeSync } from "node:fs";

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
});

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const PATIENCE_MS = 20_000;

export class DatagramSocket {
  readonly #descriptor: number;
  #isClosed = false;

  /** @param path of the file to make, or "@" and the name of an abstract socket */
  constructor(path: string) {
    const name = Buffer.from(path.startsWith("@") ? `\0${path.slice(1)}` : path);
    const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), name]);
    this.#descriptor = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
    if (libc.bind(this.#descriptor, address, address.length) !== 0) throw new Error(`cannot bind ${path}`);
  }

  /** The next datagram. @throws Error when none comes */
  async next(): Promise<string> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const text = this.#take();
      if (text !== undefined) return text;
      if (performance.now() > deadline) throw new Error("no datagram came");
      await Bun.sleep(5);
    }
  }

  /** All that have come and were not read. */
  rest(): string[] {
    const texts: string[] = [];
    for (let text = this.#take(); text !== undefined; text = this.#take()) texts.push(text);
    return texts;
  }

  close(): void {
    if (!this.#isClosed) closeSync(this.#descriptor);
    this.#isClosed = true;
  }

  #take(): string | undefined {
    const buffer = Buffer.alloc(4096);
    const length = Number(libc.recv(this.#descriptor, buffer, buffer.length, MSG_DONTWAIT));
    return length < 0 ? undefined : buffer.toString("utf8", 0, length);
  }
}
