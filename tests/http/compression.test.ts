/** Compression of answers (decision P12; platform.md 2.3, 2.5). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { ContainerList } from "../../src/container/messages.ts";
import { bestCoding, compressed, isCompressible } from "../../src/http/compression.ts";
import { MEDIA_TYPES } from "../../src/wire/negotiation.ts";
import { EventReader } from "../events/eventReader.ts";
import type { Box, Device } from "../support/client.ts";
import { anyDevice } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { exchange, listen, parseAnswer, sendRaw } from "../support/socket.ts";

type Coding = "zstd" | "gzip";

function decoded(coding: string | null | undefined, bytes: Uint8Array<ArrayBuffer>): Uint8Array {
  if (coding === "gzip") return gunzipSync(bytes);
  return coding === "zstd" ? Bun.zstdDecompressSync(bytes) : bytes;
}

describe("Accept-Encoding", () => {
  test.each<[header: string | null, coding: Coding | undefined]>([
    [null, undefined],
    ["", undefined],
    ["gzip", "gzip"],
    ["zstd", "zstd"],
    ["gzip, deflate, br", "gzip"],
    ["gzip, deflate, br, zstd", "zstd"],
    ["GZIP", "gzip"],
    ["x-gzip", "gzip"],
    ["gzip;q=0.5, zstd;q=0.2", "gzip"],
    ["gzip; q=0.2 ,zstd ; q=0.3", "zstd"],
    ["gzip;Q=1.000", "gzip"],
    ["gzip;q=0", undefined],
    ["gzip;q=0.000, zstd;q=0", undefined],
    ["gzip;q=0, *", "zstd"],
    ["zstd;q=0, *;q=0.1", "gzip"],
    ["*", "zstd"],
    ["*;q=0", undefined],
    ["*;q=0, gzip", "gzip"],
    ["identity", undefined],
    ["identity;q=0", undefined],
    ["identity;q=0, *;q=0", undefined],
    ["identity, gzip", "gzip"],
    ["identity;q=0.5, gzip;q=0.4", undefined],
    ["identity;q=0.4, gzip;q=0.5", "gzip"],
    ["br, deflate", undefined],
    ["gzip;q=2", undefined],
    ["gzip;q=-1", undefined],
    ["gzip;q=0.1234", undefined],
    ["gzip;q=", undefined],
    ["gzip;level=9", undefined],
    [",,gzip,,", "gzip"],
    ["gzipped", undefined],
  ])("platform 2.5: %p leads to %p", (header, coding) => {
    expect(bestCoding(header)).toBe(coding);
  });

  test("platform 2.3: whatever it says, nothing is thrown, and only what it names is chosen", () => {
    const element = fc.oneof(
      fc.constantFrom("gzip", "zstd", "identity", "*", "br", "gzip;q=0", "zstd;q=0", "*;q=0", "gzip;q=0.5"),
      fc.string({ maxLength: 12 }),
    );
    fc.assert(
      fc.property(fc.array(element, { maxLength: 6 }), (elements) => {
        const header = elements.join(",");
        const coding = bestCoding(header);
        if (coding === "gzip") expect(header.toLowerCase()).toMatch(/gzip|\*/);
        if (coding === "zstd") expect(header.toLowerCase()).toMatch(/zstd|\*/);
      }),
      { numRuns: 2000 },
    );
  });
});

/** An answer as a handler makes it, after it was compressed for a client that takes `accept`. */
function answer(body: string | Uint8Array<ArrayBuffer>, accept: string, headers: Record<string, string> = {}) {
  const request = new Request("http://localhost/", { headers: { "accept-encoding": accept } });
  return compressed(request, new Response(body, { headers: { "content-type": "application/json", ...headers } }));
}

async function bytesOf(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await response.arrayBuffer());
}

describe("an answer", () => {
  test.each([
    ["application/json", true],
    ["application/json; charset=utf-8", true],
    ["text/html; charset=utf-8", true],
    ["text/plain", true],
    ["text/css", true],
    ["text/javascript;charset=utf-8", true],
    ["application/javascript", true],
    ["image/svg+xml", true],
    ["text/event-stream", false],
    ["text/event-stream; charset=utf-8", false],
    ["application/protobuf", false],
    ["image/png", false],
    ["application/jsonlines", false],
  ])("P12: %s: %p", (type, isText) => {
    expect(isCompressible(new Response("x", { headers: { "content-type": type } }))).toBe(isText);
  });

  test("P12: one without a body, or that has chosen its coding already, is left alone", () => {
    expect(isCompressible(new Response(null))).toBe(false);
    const headers = { "content-type": "text/css", "content-encoding": "gzip", vary: "accept-encoding" };
    expect(isCompressible(new Response("x", { headers }))).toBe(false);
  });

  test("P12: up to 1 KiB it stays as it is, from there on it is compressed, both with their status", async () => {
    for (const coding of ["gzip", "zstd"]) {
      const small = await answer("a".repeat(1024), coding);
      expect([small.headers.get("content-encoding"), small.headers.get("vary")]).toEqual([null, null]);
      expect(await small.text()).toBe("a".repeat(1024));

      const larger = await answer("a".repeat(1025), coding);
      expect(larger.headers.get("content-encoding")).toBe(coding);
      expect(larger.headers.get("vary")).toBe("Accept-Encoding");
      const bytes = await bytesOf(larger);
      expect(bytes.length).toBeLessThan(100);
      expect(Buffer.from(decoded(coding, bytes)).toString()).toBe("a".repeat(1025));
    }
    const refusal = new Response("a".repeat(2000), { status: 404, headers: { "content-type": "text/html" } });
    const request = new Request("http://localhost/", { headers: { "accept-encoding": "gzip" } });
    expect((await compressed(request, refusal)).status).toBe(404);
  });

  test("platform 2.5: Vary also says so to a client that takes nothing compressed, and keeps what it said", async () => {
    const plain = await answer("a".repeat(2000), "br");
    expect(plain.headers.get("content-encoding")).toBeNull();
    expect(plain.headers.get("vary")).toBe("Accept-Encoding");
    expect(await plain.text()).toHaveLength(2000);
    expect((await answer("a".repeat(2000), "gzip", { vary: "Origin" })).headers.get("vary")).toBe(
      "Origin, Accept-Encoding",
    );
  });

  test("P12: cookies, policies and other headers stay, a strong ETag becomes a weak one", async () => {
    const headers = new Headers({ "content-type": "text/html", etag: '"abc"', "content-security-policy": "x" });
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    const request = new Request("http://localhost/", { headers: { "accept-encoding": "gzip" } });
    const response = await compressed(request, new Response("a".repeat(2000), { headers }));
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(response.headers.get("content-security-policy")).toBe("x");
    expect(response.headers.get("etag")).toBe('W/"abc"');
    expect((await answer("a".repeat(2000), "gzip", { etag: 'W/"abc"' })).headers.get("etag")).toBe('W/"abc"');
  });

  test("P12: every size and content comes back as it was", async () => {
    for (const size of [1025, 16 * 1024, 16 * 1024 + 1, 300_000]) {
      for (const body of [
        randomBytes(size),
        Buffer.alloc(size, "ab"),
        Buffer.from(randomBytes(size).toString("base64")),
      ]) {
        for (const coding of ["gzip", "zstd"]) {
          const response = await answer(new Uint8Array(body), coding);
          expect(response.headers.get("content-encoding")).toBe(coding);
          expect(Buffer.from(decoded(coding, await bytesOf(response))).equals(body)).toBe(true);
        }
      }
    }
  });

  test("P12: while a large one is compressed, other requests go on", async () => {
    const body = new Uint8Array(Buffer.from(randomBytes(12_000_000).toString("base64")));
    for (const coding of ["gzip", "zstd"]) {
      let turns = 0;
      const others = setInterval(() => turns++, 1);
      await answer(body, coding);
      clearInterval(others);
      expect(turns, coding).toBeGreaterThan(5);
    }
  });
});

describe("through the server", () => {
  let server: TestServer;
  let device: Device;
  let box: Box;
  let port: number;
  let stopListening: () => Promise<void>;
  beforeAll(async () => {
    server = await startTestServer({ ENTRIES_MAX_SMALL_OBJECT_SIZE_KB: "200" });
    device = anyDevice(server);
    box = await device.createContainer({ encrypted_blob: randomBytes(100_000) });
    ({ port, stop: stopListening } = listen(server));
  });
  afterAll(async () => {
    await stopListening();
    await server.stop();
  });

  const read = (accept: string, coding: string) =>
    sendRaw(port, "GET /api/container", [
      `accept: ${accept}`,
      `accept-encoding: ${coding}`,
      ...Object.entries(device.headers(box)).map(([name, value]) => `${name}: ${value}`),
    ]);

  test("P12: JSON is compressed with zstd and gzip, and base64's third is gone", async () => {
    const plain = await read(MEDIA_TYPES.json, "identity");
    expect(plain.headers.has("content-encoding")).toBe(false);
    const list = ContainerList.decodeJson(new Uint8Array(plain.body));
    expect(list.containers[0]?.encrypted_blob).toHaveLength(100_000);
    for (const coding of ["zstd", "gzip"]) {
      const { status, headers, body } = await read(MEDIA_TYPES.json, coding);
      expect(status).toBe(200);
      expect(headers.get("content-encoding")).toBe(coding);
      expect(headers.get("vary")).toBe("Accept-Encoding");
      expect(Number(headers.get("content-length"))).toBe(body.length);
      expect(body.length).toBeLessThan(0.8 * plain.body.length);
      expect(ContainerList.decodeJson(decoded(coding, new Uint8Array(body)))).toEqual(list);
    }
  });

  test("P12: protobuf is ciphertext, which does not shrink: it is sent as it is", async () => {
    const { headers, body } = await read(MEDIA_TYPES.protobuf, "gzip, zstd");
    expect(headers.has("content-encoding")).toBe(false);
    expect(ContainerList.decodeProtobuf(new Uint8Array(body)).containers).toHaveLength(1);
    const { length } = await bytesOf(await answer(new Uint8Array(body), "zstd"));
    expect(length).toBeGreaterThan(0.98 * body.length);
  });

  test("P12: what fetch asks for by itself is understood by fetch", async () => {
    const url = `http://127.0.0.1:${port}/api/container`;
    const headers = { ...device.headers(box), accept: MEDIA_TYPES.json };
    const response = await fetch(url, { headers });
    expect(ContainerList.decodeJson(await bytesOf(response)).containers).toHaveLength(1);
  });

  test("platform 2.3: whatever Accept-Encoding rules out, the answer is 200, and never 406", async () => {
    for (const coding of ["identity;q=0", "*;q=0", "identity;q=0, gzip;q=0", "compress", "?"]) {
      const { status, headers, body } = await read(MEDIA_TYPES.json, coding);
      expect({ status, coding: headers.get("content-encoding") }).toEqual({ status: 200, coding: undefined });
      expect(JSON.parse(body.toString()).containers).toHaveLength(1);
    }
  });

  test("P12: pages are compressed, refusals among them", async () => {
    const { status, headers, body } = await sendRaw(port, "GET /account/email?token=garbage", [
      "accept-encoding: gzip",
    ]);
    expect({ status, coding: headers.get("content-encoding") }).toEqual({ status: 400, coding: "gzip" });
    expect(gunzipSync(body).toString()).toEndWith("</html>\n");
  });

  test("P12: a small answer is not, and CORS says its word beside compression", async () => {
    const { headers, body } = await sendRaw(port, "GET /api/auth/csrf-token", ["accept-encoding: gzip, zstd"]);
    expect(headers.has("content-encoding")).toBe(false);
    expect(JSON.parse(body.toString()).csrf_token).toHaveLength(44);

    const withCors = await startTestServer({ ENTRIES_CORS_ALLOWED_ORIGINS: "https://a.example" }, server.database);
    const request = new Request("http://localhost/account/email?token=a", { headers: { "accept-encoding": "gzip" } });
    const vary = (await withCors.app.handle(request)).headers.get("vary") ?? "";
    expect(vary.split(", ").sort()).toEqual(["Accept-Encoding", "Origin"]);
    await withCors.stop();
  });

  test("P12, C7: a stream of events is never compressed, and its first event comes at once", async () => {
    const url = `http://127.0.0.1:${port}/api/container/events`;
    const headers = { ...device.headers(box), "accept-encoding": "gzip, zstd" };
    const response = await fetch(url, { headers });
    expect(response.headers.get("content-encoding")).toBeNull();
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const reader = new EventReader(response);
    expect(await reader.next()).toMatchObject({ event: "change", data: { container_id: box.id } });
    await reader.close();
  });

  test("P12: HEAD gets no body, and the connection goes on after compressed answers", async () => {
    const ask = (method: string, more = "") =>
      `${method} /account/email?token=a HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n${more}\r\n`;
    const bytes = await exchange(port, ask("HEAD") + ask("GET") + ask("GET", "connection: close\r\n"));
    const statuses = bytes.toString("latin1").match(/HTTP\/1\.1 \d+/g);
    expect(statuses).toEqual(["HTTP/1.1 405", "HTTP/1.1 400", "HTTP/1.1 400"]);
    const last = parseAnswer(bytes.subarray(bytes.lastIndexOf("HTTP/1.1 400")));
    expect(gunzipSync(last.body).toString()).toStartWith("<!doctype html>");
  });
});
