/** One HTTP/1.1 connection that is kept open, as cheap as it gets: the client shares the machine with the server. */

export interface HttpAnswer {
  status: number;
  bodyBytes: number;
  /** The body in pieces, unless it was to be dropped. */
  chunks: readonly Uint8Array[];
}

/** Writes the head of a request, up to and including the empty line. */
export function requestHead(
  method: string,
  path: string,
  headers: Record<string, string>,
  body: { contentType: string; bytes: number } | undefined,
): string {
  const all = {
    host: "localhost",
    "user-agent": "entries-bench",
    accept: "application/protobuf",
    ...(body && { "content-type": body.contentType, "content-length": String(body.bytes) }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

const HEAD_END = Buffer.from("\r\n\r\n");
const STATUS_START = "HTTP/1.1 ".length;
const LINE_FEED = 10;

export class HttpConnection {
  #socket: Bun.Socket | undefined;
  #head: Buffer = Buffer.alloc(0);
  #status = 0;
  /** Bytes of the body, or of its present chunk, that are still to come; undefined while the head is incomplete. */
  #missing: number | undefined;
  /** Of a chunked body (RFC 9112, section 7.1): what was read of the line with the next chunk's size. */
  #sizeLine: string | undefined;
  #isLastChunk = false;
  #chunks: Uint8Array[] = [];
  #keepsBody = true;
  #bodyBytes = 0;
  #waiting: PromiseWithResolvers<HttpAnswer> | undefined;

  /** @throws Error when nobody listens on that port of this machine */
  static async open(port: number): Promise<HttpConnection> {
    const connection = new HttpConnection();
    connection.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => connection.#read(chunk),
        close: () => connection.#fail(new Error("the server closed the connection")),
        error: (_socket, error) => connection.#fail(error),
      },
    });
    return connection;
  }

  /**
   * Sends a whole request, when the previous one is answered, and waits for its answer.
   *
   * @param keepsBody false: what comes is only counted, since collecting megabytes would take as long as sending them
   */
  exchange(request: Uint8Array, keepsBody = true): Promise<HttpAnswer> {
    this.#keepsBody = keepsBody;
    const waiting = Promise.withResolvers<HttpAnswer>();
    this.#waiting = waiting;
    const written = this.#socket?.write(request);
    if (written !== request.length) this.#fail(new Error("the request does not fit into the socket's buffer"));
    return waiting.promise;
  }

  close(): void {
    this.#socket?.end();
  }

  #read(chunk: Buffer): void {
    if (this.#missing === undefined) {
      const received = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
      const end = received.indexOf(HEAD_END);
      this.#head = received;
      if (end === -1) return;
      this.#startBody(received.toString("latin1", 0, end));
      this.#take(received.subarray(end + HEAD_END.length));
    } else {
      this.#take(chunk);
    }
  }

  #startBody(head: string): void {
    this.#status = Number(head.slice(STATUS_START, STATUS_START + 3));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    this.#sizeLine = length === undefined ? "" : undefined;
    this.#missing = Number(length ?? 0);
  }

  #take(received: Uint8Array): void {
    if (this.#missing === undefined) return;
    if (this.#sizeLine !== undefined) {
      this.#takeChunks(received);
    } else {
      this.#keep(received);
      if (this.#missing === 0) this.#finish();
    }
  }

  #takeChunks(received: Uint8Array): void {
    let at = 0;
    while (at < received.length) {
      if (this.#missing) {
        const part = received.subarray(at, at + this.#missing);
        this.#keep(part);
        at += part.length;
        continue;
      }
      const byte = received[at++] ?? 0;
      if (byte !== LINE_FEED) this.#sizeLine += String.fromCharCode(byte);
      else this.#endSizeLine();
    }
  }

  /** An empty line follows each chunk, and ends the body after the one of size 0. */
  #endSizeLine(): void {
    const line = this.#sizeLine?.trim() ?? "";
    this.#sizeLine = "";
    if (line !== "") {
      this.#missing = Number.parseInt(line, 16);
      this.#isLastChunk = this.#missing === 0;
    } else if (this.#isLastChunk) {
      this.#finish();
    }
  }

  #keep(bytes: Uint8Array): void {
    if (this.#keepsBody && bytes.length > 0) this.#chunks.push(bytes);
    this.#bodyBytes += bytes.length;
    this.#missing = (this.#missing ?? 0) - bytes.length;
  }

  #finish(): void {
    const answer = { status: this.#status, bodyBytes: this.#bodyBytes, chunks: this.#chunks };
    this.#head = Buffer.alloc(0);
    this.#missing = undefined;
    this.#isLastChunk = false;
    this.#chunks = [];
    this.#bodyBytes = 0;
    this.#waiting?.resolve(answer);
  }

  #fail(error: Error): void {
    this.#waiting?.reject(error);
  }
}
