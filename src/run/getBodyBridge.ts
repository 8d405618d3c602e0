/**
 * The second port, ENTRIES_GET_BODY_PORT, for clients of the reference server: they read containers by a GET with a body
 * (new-messages.md, "Reading containers"). Bun's own server drops that body, node:http hands it over. What comes here
 * goes the way of POST /api/container/query, with its limits, tokens, metrics and log lines.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as NodeStream } from "node:stream/web";
import { IDLE_TIMEOUT_SECS, routes, walk } from "../app.ts";
import { ApiError } from "../errors.ts";
import type { Services } from "../services.ts";

const PATH = "/api/container";

const query = routes.find(({ spec }) => spec.method === "POST" && spec.path === "/api/container/query");
if (!query) throw new Error("there is no POST /api/container/query to hand requests to");

export interface GetBodyBridge {
  port: number;
  /** Takes no new connections; resolves when every request is answered. */
  stop(): Promise<void>;
}

/**
 * @param idleTimeoutSecs of silence after which a connection is cut
 * @throws Error when the address cannot be had
 */
export async function openGetBodyBridge(
  services: Services,
  address: { host: string; port: number },
  idleTimeoutSecs: number = IDLE_TIMEOUT_SECS,
): Promise<GetBodyBridge> {
  const server = createServer((incoming, outgoing) => {
    const { socket } = incoming;
    answer(services, incoming, idleTimeoutSecs)
      .then((response) => send(response, incoming, outgoing))
      .catch(() => socket.destroy()); // the client has gone
  });
  server.keepAliveTimeout = idleTimeoutSecs * 1000;
  server.on("connection", (socket) => socket.setTimeout(idleTimeoutSecs * 1000, () => socket.destroy()));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}

function answer(services: Services, incoming: IncomingMessage, idleTimeoutSecs: number): Promise<Response> {
  const { socket, method = "", url = "" } = incoming;
  const headers = headersOf(incoming);
  const server = {
    requestIP: () => ({ address: socket.remoteAddress ?? "" }),
    timeout: () => socket.setTimeout(idleTimeoutSecs * 1000),
  };
  const path = url.replace(/\?.*$/s, "");
  if (path !== PATH || method !== "GET") {
    const request = new Request("http://localhost/elsewhere", { headers });
    const refuse = path === PATH ? refuseMethod : undefined;
    return walk(services, undefined, { request, server, refuse }, idleTimeoutSecs);
  }
  const body = Readable.toWeb(incoming) as ReadableStream<Uint8Array>;
  const request = new Request("http://localhost/api/container/query", { method: "POST", headers, body });
  return walk(services, query, { request, server }, idleTimeoutSecs);
}

function refuseMethod(): never {
  throw new ApiError("PREHANDLER", "This port answers GET only.", { status: 405, headers: { allow: "GET" } });
}

/** Without cookies: no browser sends a GET with a body, and as a POST they would be asked for a CSRF token. */
function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    headers.append(rawHeaders[index] ?? "", rawHeaders[index + 1] ?? "");
  }
  headers.delete("cookie");
  return headers;
}

async function send(response: Response, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  // Only a large answer, which comes in pieces as its client reads, tells its length.
  const pieces = response.headers.has("content-length") ? response.body : null;
  const body = pieces ? undefined : await response.bytes();
  outgoing.statusCode = response.status;
  for (const name of new Set(response.headers.keys())) {
    outgoing.setHeader(
      name,
      name === "set-cookie" ? response.headers.getSetCookie() : (response.headers.get(name) ?? ""),
    );
  }
  if (body) outgoing.setHeader("content-length", body.length);
  if (!incoming.readableEnded) outgoing.setHeader("connection", "close"); // what is left of the body is no request
  if (pieces) await pipeline(Readable.fromWeb(pieces as NodeStream), outgoing);
  else outgoing.end(body);
}
