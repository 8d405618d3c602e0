/** What only a real connection can show: sizes, framing, slowness and clients that go away. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { createApp } from "../../src/app.ts";
import { CredentialPair } from "../../src/auth/messages.ts";
import { createUnverified, granted } from "../support/accounts.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { exchange, listen, parseAnswer, type RawAnswer, UNLIMITED } from "../support/socket.ts";

setDefaultTimeout(60_000);

const MIB = 1024 * 1024;
/** Shorter than the contract's 30 s. The runtime looks every 4 s, so it cuts after 4 to 8 s. */
const IDLE_TIMEOUT_SECS = 5;
const CUT_SECS_MAX = 8;

let server: TestServer;
let port: number;
let stopListening: () => Promise<void>;
beforeAll(async () => {
  server = await startTestServer({ ...UNLIMITED, ENTRIES_PROTOBUF_MAX_SIZE_MB: "5" });
  ({ port, stop: stopListening } = listen(server));
});
afterAll(async () => {
  await stopListening();
  await server.stop();
});

/** A JSON body of exactly so many bytes; blanks between the fields cost nothing. */
function bodyOf(bytes: number): Buffer<ArrayBuffer> {
  const start = '{"email":"nobody","auth_string":"eA==","nonce":1';
  return Buffer.from(`${start}${" ".repeat(bytes - start.length - 1)}}`);
}

function head(path: string, lines: string[]): string {
  const fixed = [`POST ${path} HTTP/1.1`, "host: localhost", "connection: close", "content-type: application/json"];
  return `${[...fixed, ...lines].join("\r\n")}\r\n\r\n`;
}

const CHUNK_BYTES = 64 * 1024;
type Post = (path: string, body: Buffer<ArrayBuffer>, headers: Record<string, string>) => Promise<Response>;

const postWithLength: Post = (path, body, headers) =>
  fetch(`http://127.0.0.1:${port}${path}`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body,
  });

/** A stream has no length beforehand, so it is sent in chunks. */
const postChunked: Post = (path, body, headers) => {
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let start = 0; start < body.length; start += CHUNK_BYTES) {
        controller.enqueue(body.subarray(start, start + CHUNK_BYTES));
      }
      controller.close();
    },
  });
  return fetch(`http://127.0.0.1:${port}${path}`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: stream,
  });
};

const errorOf = ({ body }: RawAnswer) => JSON.parse(body.toString()).err_type;

/** Good for everything that looks at no account. */
function tokenOfNobody(type: "SignIn" | "Access"): Record<string, string> {
  const expirationSecs = Math.floor(Date.now() / 1000) + 60;
  const { text } = server.services.tokens.issue({ type, user_id: crypto.randomUUID(), expirationSecs });
  return { [type === "Access" ? "x-access-token" : "x-signin-token"]: text };
}

describe.each([
  ["Content-Length", postWithLength],
  ["chunks", postChunked],
])("the size of a body that comes with %s", (_framing, post) => {
  test.each<[what: string, path: string, bytesMax: number, token: "SignIn" | "Access" | "none"]>([
    ["sign-in, a public route", "/api/auth/sign-in", MIB, "none"],
    ["sign-up, where a first keystore fits", "/api/user", 4 * MIB, "none"],
    ["a passcode, whose token anybody can make up", "/api/auth/otp/verify", MIB, "SignIn"],
    ["a new container, for signed-in users", "/api/container", 5 * MIB, "Access"],
    ["another route for signed-in users", "/api/container/query", MIB, "Access"],
  ])("W16: %s: one byte over the limit is 413, the limit itself is not", async (_what, path, bytesMax, token) => {
    const headers = token === "none" ? {} : tokenOfNobody(token);
    const over = await post(path, bodyOf(bytesMax + 1), headers);
    expect({ status: over.status, error: await over.json() }).toEqual({
      status: 413,
      error: { err_type: "PREHANDLER", err_message: `The request body is larger than ${bytesMax} bytes.` },
    });

    const exact = await post(path, bodyOf(bytesMax), headers);
    expect(exact.status).toBe(400); // the body was read, and is no message of this route or names no address
    expect(await exact.text()).not.toContain("larger than");
  });
});

describe("framing", () => {
  test("W16: a declared length over the limit is refused before a byte of the body has come", async () => {
    const answer = parseAnswer(await exchange(port, head("/api/auth/sign-in", [`content-length: ${MIB + 1}`])));
    expect(answer.status).toBe(413);
  });

  test("1.3: a token that is missing is told before the size of the body", async () => {
    const lines = [`content-length: ${6 * MIB}`];
    const answer = parseAnswer(await exchange(port, head("/api/container/query", lines)));
    expect({ status: answer.status, error: errorOf(answer) }).toEqual({ status: 401, error: "TOKEN_MISSING" });
  });

  test("a body that is refused does not spoil the next request on the same connection", async () => {
    const unreadable = "{".repeat(100);
    const first = head("/api/auth/sign-in", [`content-length: ${unreadable.length}`]).replace(
      "connection: close\r\n",
      "",
    );
    const second = "GET /api/heartbeat HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    const text = (await exchange(port, `${first}${unreadable}${second}`)).toString("latin1");
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 400", "HTTP/1.1 200"]);
  });

  test("W18: HEAD is 405 without a body, and the connection goes on", async () => {
    const request = (method: string, more = "") =>
      `${method} /api/heartbeat HTTP/1.1\r\nhost: localhost\r\n${more}\r\n`;
    const text = (await exchange(port, request("HEAD") + request("GET", "connection: close\r\n"))).toString("latin1");
    expect(text).toMatch(/^HTTP\/1\.1 405 .*?\r\nallow: GET\r\n.*?\r\n\r\nHTTP\/1\.1 200 /is);
  });

  test("a client that goes away in the middle of its body leaves the server well", async () => {
    for (const bytes of [10, 500_000]) {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.write(`${head("/api/auth/sign-in", [`content-length: ${bytes}`])}{`);
      await Bun.sleep(20);
      socket.destroy();
    }
    const answer = parseAnswer(
      await exchange(port, "GET /api/heartbeat HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
    );
    expect(answer.status).toBe(200);
    await Bun.sleep(20);
    server.services.log.flush();
    expect(server.logLines.join("")).not.toContain("request failed");
  });
});

describe("platform 10.1: clients that go away while their password is hashed", () => {
  test("leave the server well: hashing ends, and the next sign-in passes", async () => {
    const { user } = await createUnverified(server);
    const client = server.client("json");
    const { passwords } = server.services;
    for (let round = 0; round < 3; round++) {
      const nonce = granted(await client.nonce(user.email)).nonce;
      const body = CredentialPair.encodeJson({ email: user.email, auth_string: user.auth_string, nonce });
      const lines = [`content-length: ${Buffer.byteLength(body)}`];
      const socket = connect({ port, host: "127.0.0.1" });
      let isAnswered = false;
      socket.on("data", () => {
        isAnswered = true; // hashing was quicker than this test
      });
      socket.write(head("/api/auth/sign-in", lines) + body);
      while (passwords.running() === 0 && !isAnswered) await Bun.sleep(1);
      socket.resetAndDestroy();
      while (passwords.pending() > 0) await Bun.sleep(5);
    }
    granted(await client.signIn(user.email, user.auth_string));
    server.services.log.flush();
    expect(server.logLines.join("")).not.toContain("request failed");
  });
});

describe("slow requests", () => {
  let slowPort: number;
  let stopSlow: () => Promise<unknown>;
  beforeAll(() => {
    const app = createApp(server.services, IDLE_TIMEOUT_SECS);
    app.listen({ port: 0, hostname: "127.0.0.1" });
    slowPort = app.server?.port ?? 0;
    stopSlow = async () => app.server?.stop(true);
  });
  afterAll(() => stopSlow());

  /** Sends pieces with pauses between them; resolves with what came back, and when, once the server has closed. */
  function drip(pieces: readonly string[], pauseMs: number): Promise<{ text: string; secs: number }> {
    const { promise, resolve } = Promise.withResolvers<{ text: string; secs: number }>();
    const startedAt = performance.now();
    let text = "";
    const socket = connect({ port: slowPort, host: "127.0.0.1" }, async () => {
      for (const piece of pieces) {
        if (socket.destroyed) break;
        socket.write(piece);
        await Bun.sleep(pauseMs);
      }
    });
    socket.on("data", (data) => {
      text += data.toString("latin1");
    });
    socket.on("error", () => {}); // a write after the cut
    socket.on("close", () => resolve({ text, secs: (performance.now() - startedAt) / 1000 }));
    return promise;
  }

  test("W16: a body that stops coming is cut; one that keeps coming is not, however long it takes", async () => {
    const length = head("/api/auth/sign-in", ["content-length: 20000"]);
    const chunked = head("/api/auth/sign-in", ["transfer-encoding: chunked"]);
    const piece = " ".repeat(1000);
    const [stalled, stalledChunk, steady, steadyChunks] = await Promise.all([
      drip([length, piece, piece], 100),
      drip([chunked, "1\r\n{\r\n"], 100),
      drip([length, ...Array.from({ length: 20 }, () => piece)], 450),
      drip([chunked, ...Array.from({ length: 19 }, () => "1\r\n \r\n"), "0\r\n\r\n"], 450),
    ]);
    for (const cut of [stalled, stalledChunk]) {
      expect(cut.text).not.toContain("HTTP/1.1 200");
      expect(cut.secs).toBeLessThan(2 * CUT_SECS_MAX); // a busy machine is late
    }
    for (const whole of [steady, steadyChunks]) {
      expect(whole.text).toStartWith("HTTP/1.1 400");
      expect(whole.secs).toBeGreaterThan(CUT_SECS_MAX);
    }
  });

  test("platform 2.3: a head that comes byte by byte is cut, however often a byte comes", async () => {
    const start = "GET /api/heartbeat HTTP/1.1\r\nhost: localhost\r\nx-more: ";
    const cut = await drip([start, ...Array.from({ length: 45 }, () => "a"), "\r\n\r\n"], 1_000);
    expect(cut.text).not.toContain("HTTP/1.1 200");
    expect(cut.secs).toBeLessThan(40);
  });
});
