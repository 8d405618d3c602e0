/** How many reports are kept; the oldest goes first. */
export const REPORTS_MAX = 8_192;
/** What is kept of a report's text, in bytes of UTF-8. */
const TEXT_BYTES_MAX = 256;

export interface ClientError {
  msg: string;
  /** When the server got it, the last one of several; milliseconds since the epoch. */
  timestamp_ms: number;
  /** How often the same text came in a row, where more than once. */
  count?: number;
}

/**
 * Errors that clients reported, in the memory of one process (platform.md 5). They may hold what a user typed, so they
 * are never logged.
 */
export class ClientErrors {
  readonly #now: () => number;
  readonly #size: number;
  /** A ring: the next report goes to `#next`. */
  readonly #ring: ClientError[] = [];
  #next = 0;

  /**
   * @param now milliseconds since the epoch
   * @param size only tests keep fewer
   */
  constructor(now: () => number, size: number = REPORTS_MAX) {
    this.#now = now;
    this.#size = size;
  }

  /** Keeps the beginning of a report. An empty one is none, and the same one again is counted instead. */
  add(report: string): void {
    const msg = cutText(neutralised(report.slice(0, TEXT_BYTES_MAX)), TEXT_BYTES_MAX);
    if (msg === "") return;
    const timestamp_ms = this.#now();
    const previous = this.#ring[(this.#next + this.#size - 1) % this.#size];
    if (previous?.msg === msg) {
      previous.count = (previous.count ?? 1) + 1;
      previous.timestamp_ms = timestamp_ms;
      return;
    }
    this.#ring[this.#next] = { msg, timestamp_ms };
    this.#next = (this.#next + 1) % this.#size;
  }

  /** @returns at most `limit` reports, the newest first */
  newest(limit: number): ClientError[] {
    const count = Math.min(limit, this.#ring.length);
    return Array.from({ length: count }, (_, age) => {
      const place = (this.#next + 2 * this.#size - 1 - age) % this.#size;
      return this.#ring[place] as ClientError;
    });
  }
}

/** Whoever lists reports in a terminal must not have it told what to do: only line ends and tabs are left of controls. */
function neutralised(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]|\p{Bidi_Control}/gu, "\u{fffd}");
}

/** The first bytes of a text in UTF-8, without a character that would be cut. A slice would keep the whole in memory. */
function cutText(text: string, bytesMax: number): string {
  const bytes = new Uint8Array(bytesMax);
  const { written } = new TextEncoder().encodeInto(text, bytes);
  return new TextDecoder().decode(bytes.subarray(0, written));
}
