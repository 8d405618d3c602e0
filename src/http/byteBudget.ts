import { overloaded } from "../errors.ts";

/** Messages up to this size are not counted: there are too many, and too little comes together. */
export const COUNTED_BYTES_MIN = 1024 * 1024;

/** Of what one account may hold of the budget with several messages at a time. */
const SHARE = 1 / 4;
/** What a client should wait when there is no room. */
const RETRY_AFTER_SECS = 5;

/** One message on its way. */
export interface HeldBytes {
  /** @throws ApiError PREHANDLER 503 when there is no room for so many more bytes */
  grow(bytes: number): void;
  /** As `grow`, for what is there and cannot be refused any more. */
  growAnyway(bytes: number): void;
  /** Gives all of it back; may be called again. */
  release(): void;
}

/**
 * The memory that large messages may take together while they come or go, so that clients which are slow do not fill
 * it. One message alone may be larger, also of one account alone.
 */
export class ByteBudget {
  readonly #bytesMax: number;
  readonly #shares = new Map<string, number>();
  #used = 0;

  /** @param bytesMax of all messages over `COUNTED_BYTES_MIN` together */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes that are held. */
  get used(): number {
    return this.#used;
  }

  /** @param account whose message it is */
  hold(account: string): HeldBytes {
    let size = 0;
    let counted = 0;
    const count = (bytes: number) => {
      this.#used += bytes - counted;
      const share = (this.#shares.get(account) ?? 0) + bytes - counted;
      if (share > 0) this.#shares.set(account, share);
      else this.#shares.delete(account);
      counted = bytes;
    };
    const growAnyway = (bytes: number) => {
      size += bytes;
      if (size > COUNTED_BYTES_MIN) count(size);
    };
    return {
      grow: (bytes) => {
        if (size + bytes > COUNTED_BYTES_MIN && !this.#hasRoom(account, size + bytes, counted)) {
          throw overloaded("Too many large requests are under way; try again soon.", RETRY_AFTER_SECS);
        }
        growAnyway(bytes);
      },
      growAnyway,
      release: () => count(0),
    };
  }

  #hasRoom(account: string, size: number, counted: number): boolean {
    const ofOthers = this.#used - counted;
    const ofAccount = (this.#shares.get(account) ?? 0) - counted;
    const fits = ofOthers === 0 || ofOthers + size <= this.#bytesMax;
    return fits && (ofAccount === 0 || ofAccount + size <= this.#bytesMax * SHARE);
  }
}
