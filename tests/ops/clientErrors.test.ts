import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { type ClientError, ClientErrors } from "../../src/ops/clientErrors.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, sendRaw } from "../support/socket.ts";

setDefaultTimeout(60_000);

const KEY = "the key of the client errors";
const BYTES_MAX = 262_144;
const KEPT_BYTES = 256;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    ENTRIES_CLIENT_ERRORS_ENDPOINT_KEY: KEY,
    ENTRIES_HEALTH_ENDPOINT_KEY: "another key",
  });
});
afterAll(() => server.stop());

async function report(body: string | Uint8Array, headers: Record<string, string> = {}) {
  const request = new Request("http://localhost/api/client-errors", {
    method: "POST",
    headers: { "content-type": "text/plain", ...headers },
    body: Buffer.from(body),
  });
  const response = await server.app.handle(request);
  return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
}

function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return server.app.handle(new Request(`http://localhost${path}`, { headers }));
}

async function listed(query = ""): Promise<ClientError[]> {
  const response = await get(`/api/client-errors${query}`, { authorization: `Bearer ${KEY}` });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/json");
  return (await response.json()) as ClientError[];
}

const newest = async () => (await listed("?limit=1"))[0]?.msg;
const bytesOf = (text: string | undefined) => Buffer.byteLength(text ?? "");

describe("GET /api/client-errors", () => {
  test("platform 5: it is empty at first, then the newest stands first, with the server's time", async () => {
    expect(await listed()).toEqual([]);
    const before = server.services.now();
    for (const text of ["one", "two", "three"]) {
      expect(await report(text)).toEqual({ status: 200, bytes: new Uint8Array(0) });
    }
    const reports = await listed();
    expect(reports.map(({ msg }) => msg)).toEqual(["three", "two", "one"]);
    for (const { timestamp_ms } of reports) {
      expect(timestamp_ms).toBeGreaterThanOrEqual(before);
      expect(timestamp_ms).toBeLessThanOrEqual(server.services.now());
    }
    expect(Object.keys(reports[0] ?? {})).toEqual(["msg", "timestamp_ms"]);
  });

  test.each(["", "?key=", "?key=wrong", `?key=${"x".repeat(KEY.length)}`, "?key=another+key"])(
    "platform 5: without the right key (%p) it is 401 INCORRECT_CREDENTIAL",
    async (query) => {
      const response = await get(`/api/client-errors${query}`);
      expect(response.status).toBe(401);
      expect(ServerErrorResponse.decodeProtobuf(new Uint8Array(await response.arrayBuffer())).err_type).toBe(
        "INCORRECT_CREDENTIAL",
      );
    },
  );

  test("platform 5: the key may come in the query, as the reference's clients send it", async () => {
    expect((await get(`/api/client-errors?key=${encodeURIComponent(KEY)}`)).status).toBe(200);
  });

  test("platform 5: limit takes the newest so many, and nothing else than 1 to 8192", async () => {
    for (const text of ["a", "b", "c"]) await report(text);
    expect((await listed("?limit=2")).map(({ msg }) => msg)).toEqual(["c", "b"]);
    for (const wrong of ["0", "-1", "8193", "1.5", "", "x", "1&limit=2"]) {
      const response = await get(`/api/client-errors?limit=${wrong}`, { authorization: `Bearer ${KEY}` });
      expect({ wrong, status: response.status }).toEqual({ wrong, status: 400 });
    }
    expect((await listed("?limit=8192")).length).toBeGreaterThanOrEqual(3);
  });
});

describe("what a report may be", () => {
  const TEXT = "Fehler: größer als 5 €";

  test.each([
    ["no charset", "text/plain", Buffer.from(TEXT)],
    ["any other type", "application/x-crash", Buffer.from(TEXT)],
    ["UTF-16", "text/plain; charset=utf-16le", Buffer.from(TEXT, "utf16le")],
    ["in quotes and capitals", 'text/plain; Charset="UTF-8"; x=y', Buffer.from(TEXT)],
    ["windows-1252", "text/plain;charset=windows-1252", Buffer.from(TEXT.replace("€", "\x80"), "latin1")],
    ["a byte order mark", "text/plain", Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(TEXT)])],
  ])("platform 5: any content type, the charset from it: %s", async (_name, type, bytes) => {
    await report("something else");
    expect((await report(bytes, { "content-type": type })).status).toBe(200);
    expect(await newest()).toBe(TEXT);
  });

  test.each([
    ["a charset that nobody knows", "text/plain; charset=klingon", Buffer.from("x")],
    ["bytes that are no UTF-8", "text/plain", Buffer.from([0x61, 0xff, 0x62])],
    ["half a UTF-16 character", "text/plain; charset=utf-16le", Buffer.from([0x61])],
  ])("platform 5: %s is 400", async (_name, type, bytes) => {
    await report("before");
    const answer = await report(bytes, { "content-type": type });
    expect(answer.status).toBe(400);
    expect(ServerErrorResponse.decodeProtobuf(answer.bytes).err_type).toBe("PREHANDLER");
    expect(await newest()).toBe("before");
  });

  const PACKERS: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ["gzip", gzipSync],
    ["x-gzip", gzipSync],
    ["GZIP", gzipSync],
    ["br", brotliCompressSync],
    ["deflate", deflateSync],
    ["zstd", zstdCompressSync],
    ["identity", (bytes) => bytes],
  ];

  test.each(PACKERS)("platform 5: a report packed with %s is unpacked", async (encoding, pack) => {
    const text = `packed with ${encoding} `.repeat(5).trim();
    expect((await report(pack(Buffer.from(text)), { "content-encoding": encoding })).status).toBe(200);
    expect(await newest()).toBe(text);
  });

  test("platform 5: deflate without its header is unpacked, too", async () => {
    expect((await report(deflateRawSync("headless"), { "content-encoding": "deflate" })).status).toBe(200);
    expect(await newest()).toBe("headless");
  });

  test.each(PACKERS.slice(0, -1))("platform 5: %s of something else, or of nothing known, is 400", async (encoding) => {
    expect((await report("this is not packed", { "content-encoding": encoding })).status).toBe(400);
  });

  test("platform 5: an encoding that nobody knows, or several, are 400", async () => {
    for (const encoding of ["compress", "gzip, gzip", "toString", ""]) {
      const { status } = await report(gzipSync("x"), { "content-encoding": encoding });
      expect({ encoding, status }).toEqual({ encoding, status: 400 });
    }
  });

  test.each(PACKERS)(
    "platform 5: 262,144 bytes unpacked from %s are taken, one more is 413",
    async (encoding, pack) => {
      const full = Buffer.alloc(BYTES_MAX, "x");
      expect((await report(pack(full), { "content-encoding": encoding })).status).toBe(200);
      expect((await report(pack(Buffer.alloc(BYTES_MAX + 1, "x")), { "content-encoding": encoding })).status).toBe(413);
    },
  );

  test("platform 5: a bomb is 413 before it has filled the memory", async () => {
    const bombs = [
      ["gzip", gzipSync(Buffer.alloc(128 * 1024 * 1024))],
      ["zstd", zstdCompressSync(Buffer.alloc(128 * 1024 * 1024))],
    ] as const;
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    for (const [encoding, bomb] of bombs) {
      for (let times = 0; times < 10; times++) {
        expect((await report(bomb, { "content-encoding": encoding })).status).toBe(413);
      }
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 1024 * 1024);
  });

  test("platform 5: a zstd frame that wants 128 MiB of memory for its window is refused", async () => {
    // RFC 8878 section 3.1.1: magic number, no single segment, window descriptor for 2^27, then an empty last block.
    const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00]);
    expect((await report(frame, { "content-encoding": "zstd" })).status).toBe(400);
  });

  test("platform 5: over a socket, too, a body that is too long is 413, announced or in pieces", async () => {
    const { port, stop } = listen(server);
    const announced = await sendRaw(port, "POST /api/client-errors", [`content-length: ${BYTES_MAX + 1}`]);
    expect(announced.status).toBe(413);
    const piece = `${(65_536).toString(16)}\r\n${"x".repeat(65_536)}\r\n`;
    const chunked = await sendRaw(port, "POST /api/client-errors", ["transfer-encoding: chunked"], piece.repeat(5));
    expect(chunked.status).toBe(413);
    await stop();
  });
});

describe("what is kept of a report", () => {
  test("platform 5: 256 bytes, and no character is cut", async () => {
    const texts = [
      "x".repeat(1000),
      "é".repeat(1000),
      `x${"é".repeat(1000)}`,
      "€".repeat(1000),
      "😀".repeat(1000),
      `x${"😀".repeat(1000)}`,
    ];
    for (const text of texts) {
      await report(text);
      const kept = (await newest()) ?? "";
      expect(text.startsWith(kept)).toBe(true);
      expect(bytesOf(kept)).toBeLessThanOrEqual(KEPT_BYTES);
      expect(bytesOf(kept)).toBeGreaterThan(KEPT_BYTES - 4);
    }
    await report("y".repeat(KEPT_BYTES));
    expect(await newest()).toBe("y".repeat(KEPT_BYTES));
  });

  test("platform 5: nothing that a terminal would obey, but line ends and tabs", async () => {
    await report("\u001b[2Jred\u0000\u007f\u009b31m\r\u202eevil\n\tat line 1");
    expect(await newest()).toBe("\u{fffd}[2Jred\u{fffd}\u{fffd}\u{fffd}31m\u{fffd}\u{fffd}evil\n\tat line 1");
  });

  test("platform 5: an empty report is 200 and takes no slot", async () => {
    const before = await listed();
    expect((await report("")).status).toBe(200);
    expect((await report(gzipSync(""), { "content-encoding": "gzip" })).status).toBe(200);
    expect((await report("", { "content-encoding": "gzip" })).status).toBe(200);
    expect(await listed()).toEqual(before);
  });

  test("platform 5: the same report in a row is counted", async () => {
    const before = await listed();
    for (let times = 0; times < 3; times++) await report("again");
    await report("other");
    await report("again");
    const after = await listed();
    expect(after).toHaveLength(before.length + 3);
    expect(after.slice(0, 3)).toMatchObject([{ msg: "again" }, { msg: "other" }, { msg: "again", count: 3 }]);
    expect(after[0]).not.toHaveProperty("count");
  });

  test("P9: no report reaches the log, refused ones neither", async () => {
    await report("secret-in-a-report");
    await report("secret-in-a-report", { "content-encoding": "gzip" });
    await report("x", { "content-type": "text/plain; charset=secret-in-a-report" });
    server.services.log.flush();
    expect(server.logLines.join("")).toContain("/api/client-errors");
    expect(server.logLines.join("")).not.toContain("secret-in-a-report");
  });

  test("platform 2.2: fair use is asked before the breaker: one client cannot silence its network", async () => {
    const limited = await startTestServer({
      ENTRIES_ERROR_REPORT_FAIR_USE_MAX_PER_PERIOD: "2",
      ENTRIES_ERROR_REPORT_CIRCUIT_BREAKER_MAX_PER_PERIOD: "4",
    });
    const { port, stop } = listen(limited);
    const from = async (address: string) =>
      (await sendRaw(port, "POST /api/client-errors", ["content-length: 0", `x-forwarded-for: ${address}`])).status;
    const statuses: number[] = [];
    for (let times = 0; times < 6; times++) statuses.push(await from("192.0.2.1"));
    expect(statuses).toEqual([200, 200, 429, 429, 429, 429]);
    expect(await from("192.0.2.2")).toBe(200);
    await stop();
    await limited.stop();
  });
});

describe("the ring", () => {
  test("platform 5: the oldest is overwritten", () => {
    const errors = new ClientErrors(() => 1, 4);
    const expected: string[] = [];
    for (let number = 0; number < 11; number++) {
      errors.add(`report ${number}`);
      expected.unshift(`report ${number}`);
      expect(errors.newest(100).map(({ msg }) => msg)).toEqual(expected.slice(0, 4));
      expect(errors.newest(2).map(({ msg }) => msg)).toEqual(expected.slice(0, 2));
    }
  });

  test("platform 5: it holds 8,192 reports, and long ones do not stay in memory whole", () => {
    const errors = new ClientErrors(() => 1);
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    for (let number = 0; number < 10_000; number++) errors.add(`${number} ${"x".repeat(200_000)}`);
    Bun.gc(true);
    expect(errors.newest(10_000)).toHaveLength(8_192);
    expect(errors.newest(10_000).at(-1)?.msg).toStartWith(`${10_000 - 8_192} x`);
    expect(process.memoryUsage.rss() - before).toBeLessThan(300 * 1024 * 1024); // all of them are 1.6 GB
  });
});
