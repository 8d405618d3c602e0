/** Requests byte by byte over a real socket, for what a Request object cannot say. */
import { connect } from "node:net";
import type { TestServer } from "./server.ts";

export interface RawAnswer {
  status: number;
  /** Lower-case names. */
  headers: ReadonlyMap<string, string>;
  body: Buffer;
}

/** No limits, for servers that are asked over a socket, where every request comes from one address. */
export const UNLIMITED = {
  ENTRIES_CREATE_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1000000",
  ENTRIES_CREATE_CIRCUIT_BREAKER_LIMITER_MAX_PER_PERIOD: "1000000",
  ENTRIES_READ_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1000000",
  ENTRIES_READ_CIRCUIT_BREAKER_LIMITER_MAX_PER_PERIOD: "1000000",
  ENTRIES_MODIFY_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1000000",
  ENTRIES_MODIFY_CIRCUIT_BREAKER_LIMITER_MAX_PER_PERIOD: "1000000",
  ENTRIES_LIGHT_AUTH_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1000000",
  ENTRIES_LIGHT_AUTH_CIRCUIT_BREAKER_LIMITER_MAX_PER_PERIOD: "1000000",
  ENTRIES_EXPENSIVE_AUTH_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1000000",
  ENTRIES_EXPENSIVE_AUTH_CIRCUIT_BREAKER_LIMITER_MAX_PER_PERIOD: "1000000",
};

/** Lets the app listen on a free port of the loopback. */
export function listen({ app }: TestServer): { port: number; stop(): Promise<void> } {
  app.listen({ port: 0, hostname: "127.0.0.1" });
  const port = app.server?.port;
  if (port === undefined) throw new Error("the app does not listen");
  return {
    port,
    async stop() {
      await app.server?.stop(true);
    },
  };
}

/**
 * Sends bytes as they are and reads until the server closes.
 *
 * @param patienceMs with it, silence for so long ends the exchange with what has come; else 5 s of silence are an error
 */
export function exchange(
  port: number,
  bytes: string | Uint8Array,
  { patienceMs }: { patienceMs?: number } = {},
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  const socket = connect({ port, host: "127.0.0.1" }, () => socket.write(bytes));
  socket.setTimeout(patienceMs ?? 5_000, () => {
    socket.destroy(patienceMs === undefined ? new Error("no answer within 5 s") : undefined);
  });
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", reject);
  socket.on("close", () => resolve(Buffer.concat(chunks)));
  return promise;
}

/** Sends a request whose header lines are given as they are, and reads the whole answer. */
export async function sendRaw(port: number, startLine: string, lines: string[], body = ""): Promise<RawAnswer> {
  const head = [`${startLine} HTTP/1.1`, "host: localhost", "connection: close", ...lines];
  const bytes = await exchange(port, `${head.join("\r\n")}\r\n\r\n${body}`);
  return parseAnswer(bytes);
}

export function parseAnswer(bytes: Buffer): RawAnswer {
  const end = bytes.indexOf("\r\n\r\n");
  const [statusLine = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return { status: Number(statusLine.split(" ")[1]), headers, body: bytes.subarray(end + 4) };
}
