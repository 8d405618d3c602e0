/** A client's stream of events over a socket of its own, as cheap as it gets. */
import { requestHead } from "./httpConnection.ts";

const EVENT_END = "\n\n";
const DATA = /^data: (.*)$/m;

export class EventSocket {
  /** The newest cursor of each container. */
  readonly cursors = new Map<string, bigint>();
  #socket: Bun.Socket | undefined;
  #text = "";
  #isEnded = false;
  #onEvent: () => void = () => {};

  /**
   * Opens a stream and waits for the first event of each container.
   *
   * @throws Error when the server refuses
   */
  static async open(port: number, accessToken: string, containerTokens: readonly string[]): Promise<EventSocket> {
    const stream = new EventSocket();
    const headers = { "x-access-token": accessToken, "x-container-access-token": containerTokens.join(",") };
    stream.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => stream.#read(chunk.toString("latin1")),
        close: () => stream.#end(),
        error: () => stream.#end(),
      },
    });
    stream.#socket.write(requestHead("GET", "/api/container/events", headers, undefined));
    await stream.until(() => stream.cursors.size === containerTokens.length);
    return stream;
  }

  /** Waits until something holds, which is looked at after each event. @throws Error when the stream ends before */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      if (this.#isEnded) throw new Error("a stream of events was refused or has ended");
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onEvent = resolve;
      await promise;
    }
  }

  close(): void {
    this.#socket?.terminate();
  }

  #read(text: string): void {
    this.#text += text;
    if (this.#text.startsWith("HTTP/1.1 ") && !this.#text.startsWith("HTTP/1.1 200 ")) this.#isEnded = true;
    for (let end = this.#text.indexOf(EVENT_END); end !== -1; end = this.#text.indexOf(EVENT_END)) {
      const data = DATA.exec(this.#text.slice(0, end))?.[1];
      this.#text = this.#text.slice(end + EVENT_END.length);
      if (data === undefined) continue;
      const { container_id, cursor } = JSON.parse(data) as { container_id: string; cursor?: string };
      // Without a cursor the container is gone.
      if (cursor === undefined) this.#isEnded = true;
      else this.cursors.set(container_id, BigInt(cursor));
    }
    this.#onEvent();
  }

  #end(): void {
    this.#isEnded = true;
    this.#onEvent();
  }
}
