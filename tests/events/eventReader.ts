/** Reads `text/event-stream` as a client does. */

export interface ServerSentEvent {
  event: string;
  data: { container_id: string; cursor?: string };
}

/** What is used of a stream's reader. */
interface Reader {
  read(): Promise<{ value?: Uint8Array | undefined; done: boolean }>;
  cancel(): Promise<void>;
}

export class EventReader {
  readonly status: number;
  readonly headers: Headers;
  /** Comment lines that came. */
  comments = 0;
  readonly #reader: Reader | undefined;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(response: Response) {
    this.status = response.status;
    this.headers = response.headers;
    this.#reader = response.body?.getReader();
  }

  /** The next event; undefined when the stream has ended. @throws Error when none comes within the limit */
  async next(limitMs = 5_000): Promise<ServerSentEvent | undefined> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end === -1) {
        if (!(await this.#readMore(deadline - performance.now()))) return undefined;
        continue;
      }
      const block = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      const event = this.#parse(block);
      if (event) return event;
    }
  }

  /** Everything that comes within the time, and whether the stream ended in it. */
  async during(ms: number): Promise<{ events: ServerSentEvent[]; hasEnded: boolean }> {
    const events: ServerSentEvent[] = [];
    const deadline = performance.now() + ms;
    for (;;) {
      const event = await this.next(deadline - performance.now()).catch(() => null);
      if (event === null) return { events, hasEnded: false };
      if (event === undefined) return { events, hasEnded: true };
      events.push(event);
    }
  }

  async close(): Promise<void> {
    await this.#reader?.cancel().catch(() => {});
  }

  #pending: Promise<{ value?: Uint8Array | undefined; done: boolean }> | undefined;

  /** @returns false at the end */
  async #readMore(limitMs: number): Promise<boolean> {
    this.#pending ??= this.#reader?.read() ?? Promise.resolve({ done: true });
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(late.resolve, Math.max(0, limitMs), "late" as const);
    const result = await Promise.race([this.#pending, late.promise]).finally(() => clearTimeout(timer));
    if (result === "late") throw new Error("no event came in time");
    this.#pending = undefined;
    if (result.done) return false;
    this.#text += this.#decoder.decode(result.value, { stream: true });
    return true;
  }

  #parse(block: string): ServerSentEvent | undefined {
    const lines = block.split("\n");
    this.comments += lines.filter((line) => line.startsWith(":")).length;
    const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const data = field("data");
    return data === undefined ? undefined : { event: field("event") ?? "message", data: JSON.parse(data) };
  }
}
