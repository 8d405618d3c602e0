/** One client's stream of events, as `text/event-stream` (HTML standard, section 9.2). */

/** What may wait in this process for one slow reader, in bytes; then the stream ends and the client comes again. */
const BUFFER_BYTES_MAX = 64 * 1024;

export interface WatchKey {
  key_id: string;
  /** When the token that was shown for it expires, in seconds since the epoch. */
  expirationSecs: number;
}

/** A container that the client listens to. */
export interface Watch {
  container_id: string;
  /** Keys that were shown for it, those that are gone left out. */
  keys: WatchKey[];
  /** The highest cursor that the client was told; -1n before the first. */
  cursor: bigint;
}

export interface StreamOwner {
  user_id: string;
  session_id: string | undefined;
  /** When the access token expires: the stream ends with it. */
  expirationSecs: number;
}

const ENCODER = new TextEncoder();
/** A comment, so that nobody on the way takes the connection for dead. */
const HEARTBEAT = ENCODER.encode(":\n\n");

export class EventStream {
  readonly body: ReadableStream;
  #controller: ReadableStreamDefaultController | undefined;

  /** @param onEnd called once, however the stream ends */
  constructor(
    readonly owner: StreamOwner,
    readonly watches: Map<string, Watch>,
    private readonly onEnd: (stream: EventStream) => void,
  ) {
    this.body = new ReadableStream(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        cancel: () => this.#forget(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: BUFFER_BYTES_MAX }),
    );
  }

  /** Tells how far a container has come, unless the client knows or was told that it is gone. */
  tellChange(watch: Watch, cursor: bigint): void {
    if (cursor <= watch.cursor || !this.watches.has(watch.container_id)) return;
    watch.cursor = cursor;
    this.#send("change", { container_id: watch.container_id, cursor: String(cursor) });
  }

  /** Tells that a container is out of reach. The stream ends with the last one. */
  tellGone({ container_id }: Watch): void {
    if (!this.watches.delete(container_id)) return;
    this.#send("gone", { container_id });
    if (this.watches.size === 0) this.end();
  }

  tellNothing(): void {
    this.#write(HEARTBEAT);
  }

  /** What was sent before still reaches the client. */
  end(): void {
    const controller = this.#controller;
    this.#forget();
    controller?.close();
  }

  #send(event: string, data: Record<string, string>): void {
    this.#write(ENCODER.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
  }

  #write(bytes: Uint8Array): void {
    const controller = this.#controller;
    if (!controller) return;
    if ((controller.desiredSize ?? 0) < bytes.length) {
      this.#forget();
      // What waits is dropped, and the connection is cut once it was silent for long. The runtime would print a reason.
      controller.error();
      return;
    }
    controller.enqueue(bytes);
  }

  #forget(): void {
    if (!this.#controller) return;
    this.#controller = undefined;
    this.onEnd(this);
  }
}
