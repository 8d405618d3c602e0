/** The port for clients that read containers by a GET with a body (W2, new-messages.md "Reading containers"). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { ContainerAccessTokenList, ContainerList } from "../../src/container/messages.ts";
import { type GetBodyBridge, openGetBodyBridge } from "../../src/run/getBodyBridge.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { MEDIA_TYPES } from "../../src/wire/negotiation.ts";
import type { Box, Device } from "../support/client.ts";
import { anyDevice, ENCODINGS } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { exchange, parseAnswer } from "../support/socket.ts";

const HOST = "127.0.0.1";
const IDLE_SECS = 1;

let server: TestServer;
let bridge: GetBodyBridge;
let device: Device;
let box: Box;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_PROTOBUF_MAX_SIZE_MB: "1" });
  bridge = await openGetBodyBridge(server.services, { host: HOST, port: 0 }, IDLE_SECS);
  device = anyDevice(server);
  box = await device.createContainer();
});
afterAll(async () => {
  await bridge.stop();
  await server.stop();
});

type Framing = "length" | "chunked";

function bodyOf(tokens: string[], encoding: Encoding): Buffer {
  const message = ContainerAccessTokenList;
  return Buffer.from(encoding === "json" ? message.encodeJson({ tokens }) : message.encodeProtobuf({ tokens }));
}

interface Options {
  start?: string;
  encoding?: Encoding;
  framing?: Framing;
  headers?: string[];
  access?: string;
}

function requestOf(body: Buffer, options: Options = {}): Buffer {
  const {
    start = "GET /api/container",
    encoding = "protobuf",
    framing = "length",
    headers = ["connection: close"],
    access = device.accessToken,
  } = options;
  const head = [
    `${start} HTTP/1.1`,
    "host: entries.example.org",
    `x-access-token: ${access}`,
    `content-type: ${MEDIA_TYPES[encoding]}`,
    framing === "length" ? `content-length: ${body.length}` : "transfer-encoding: chunked",
    ...headers,
  ];
  const chunks = [chunk(body.subarray(0, 9)), chunk(body.subarray(9)), Buffer.from("0\r\n\r\n")];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), ...(framing === "length" ? [body] : chunks)]);
}

function chunk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}

async function send(body: Buffer, options: Options = {}) {
  return parseAnswer(await exchange(bridge.port, requestOf(body, options)));
}

describe("W2: GET /api/container with a body", () => {
  for (const encoding of ENCODINGS) {
    for (const framing of ["length", "chunked"] as const) {
      test(`${encoding}, ${framing}: answers what POST /api/container/query does`, async () => {
        const tokens = [box.token()];
        const answer = await send(bodyOf(tokens, encoding), { encoding, framing });
        expect(answer.status).toBe(200);
        expect(answer.headers.get("content-type")).toBe(MEDIA_TYPES[encoding]);
        const list =
          encoding === "json" ? ContainerList.decodeJson(answer.body) : ContainerList.decodeProtobuf(answer.body);
        expect(list.containers.map(({ id }) => id)).toEqual([box.id]);
        expect(list).toEqual((await device.fetch(tokens)).value as ContainerList);
      });
    }
  }

  test("a body of several packets arrives whole", async () => {
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    const chunks: Buffer[] = [];
    const socket = connect(bridge.port, HOST);
    socket.on("data", (bytes: Buffer) => chunks.push(bytes)).on("close", () => resolve(Buffer.concat(chunks)));
    const bytes = requestOf(bodyOf([box.token()], "protobuf"));
    for (let at = 0; at < bytes.length; at += 100) {
      socket.write(bytes.subarray(at, at + 100));
      await Bun.sleep(1);
    }
    expect(parseAnswer(await promise).status).toBe(200);
  });

  test("errors of tokens, body and count are those of the query, in the client's encoding", async () => {
    const cases: [Buffer, number, string][] = [
      [bodyOf(["x"], "protobuf"), 400, "INCORRECTLY_FORMED"],
      [Buffer.from("nonsense, and no protobuf"), 400, "PREHANDLER"],
      [
        bodyOf(
          Array.from({ length: 51 }, () => box.token()),
          "protobuf",
        ),
        418,
        "TOO_MANY_REQUESTED",
      ],
    ];
    for (const [body, status, type] of cases) {
      const answer = await send(body);
      expect(answer.status).toBe(status);
      expect(ServerErrorResponse.decodeProtobuf(answer.body).err_type).toBe(type as never);
    }
    const noToken = await send(bodyOf([box.token()], "json"), {
      encoding: "json",
      access: "y",
    });
    expect(noToken.status).toBe(401);
    expect(JSON.parse(noToken.body.toString())).toMatchObject({ err_type: "INCORRECT_CREDENTIAL" });
  });

  test("a body over the limit is refused before it has come, whether its length is told or not", async () => {
    const empty = requestOf(Buffer.alloc(0)).toString();
    const head = (line: string) => empty.replace("content-length: 0", line);
    const declared = await exchange(bridge.port, head("content-length: 2000000"));
    expect(parseAnswer(declared).status).toBe(413);
    const filling = Buffer.alloc(200_000, 1);
    const counted = await exchange(
      bridge.port,
      Buffer.concat([
        Buffer.from(head("transfer-encoding: chunked")),
        ...Array.from({ length: 8 }, () => chunk(filling)),
      ]),
    );
    expect(parseAnswer(counted).status).toBe(413);
  });

  test("a connection is kept for the next request, body by body", async () => {
    const requests = [[box.token()], ["x"], [box.token()]].map((tokens) =>
      requestOf(bodyOf(tokens, "protobuf"), { headers: [] }),
    );
    const statuses = [
      ...(await exchange(bridge.port, Buffer.concat(requests), { patienceMs: 500 }))
        .toString("latin1")
        .matchAll(/HTTP\/1\.1 (\d+)/g),
    ];
    expect(statuses.map(([, status]) => status)).toEqual(["200", "400", "200"]);
  });

  test("cookies are no concern of it: there is no CSRF check to fail", async () => {
    const headers = ["connection: close", "cookie: x-access-token=abc", "sec-fetch-site: cross-site"];
    expect((await send(bodyOf([box.token()], "protobuf"), { headers })).status).toBe(200);
  });

  test("P5: the client's address is the socket's, or what a trusted proxy says", async () => {
    const limited = await startTestServer({ ENTRIES_READ_FAIR_USE_LIMITER_MAX_PER_PERIOD: "1" }, server.database);
    const narrow = await openGetBodyBridge(limited.services, { host: HOST, port: 0 });
    const statusFor = async (address: string) => {
      const headers = ["connection: close", `x-forwarded-for: ${address}`];
      return parseAnswer(await exchange(narrow.port, requestOf(bodyOf([box.token()], "protobuf"), { headers }))).status;
    };
    expect([await statusFor("192.0.2.1"), await statusFor("192.0.2.1"), await statusFor("192.0.2.2")]).toEqual([
      200, 429, 200,
    ]);
    await narrow.stop();
    await limited.stop();
  });

  test("P9: it is logged by the query's route, without its tokens", async () => {
    server.logLines.length = 0;
    const token = box.token();
    await send(bodyOf([token], "protobuf"), { start: "GET /api/container?secret=1" });
    server.services.log.flush();
    const text = server.logLines.join("");
    expect(text).toContain('"route":"/api/container/query","status":200');
    for (const secret of [token, "secret", device.accessToken]) expect(text).not.toContain(secret);
  });
});

describe("W2: anything else on that port", () => {
  test.each([
    ["GET /api/heartbeat", 404],
    ["POST /api/container/query", 404],
    ["GET /api/container/", 404],
    ["GET //api/container", 404],
    ["POST /api/container", 405],
    ["PUT /api/container?x=1", 405],
    ["DELETE /api/container", 405],
  ])("%s is refused with %i", async (start, status) => {
    const answer = await send(bodyOf([box.token()], "protobuf"), { start });
    expect(answer.status).toBe(status);
    expect(ServerErrorResponse.decodeProtobuf(answer.body).err_type).toBe("PREHANDLER");
    if (status === 405) expect(answer.headers.get("allow")).toBe("GET");
    // P9, P12: what every answer carries, and a line in the log that its id leads to.
    const id = answer.headers.get("x-request-id") ?? "none";
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(answer.headers.get("cache-control")).toBe("no-store");
    server.services.log.flush();
    expect(server.logLines.join("")).toContain(id);
  });
});

describe("W16: on that port", () => {
  /** Resolves when the server has cut the connection; rejects when it has not, five times as late. */
  function cut(socket: Socket): Promise<void> {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error("the connection was not cut")), 5_000 * IDLE_SECS);
      socket.on("error", () => {});
      socket.on("close", () => {
        clearTimeout(limit);
        resolve();
      });
      socket.resume();
    });
  }

  test.each([
    ["nothing at all", ""],
    ["half a head", "GET /api/container HTTP/1.1\r\nhost: x\r\n"],
    ["half a small body", "BODY 100"],
    ["half a large body", "BODY 100000"],
    ["half a chunk", "CHUNKED"],
  ])("whoever sends %s and no more is cut", async (_, text) => {
    const socket = connect(bridge.port, HOST);
    const isOver = cut(socket);
    const head = requestOf(Buffer.alloc(0)).toString().replace("content-length: 0", "LENGTH").trimEnd();
    if (text.startsWith("BODY"))
      socket.write(`${head.replace("LENGTH", `content-length: ${text.slice(5)}`)}\r\n\r\nabc`);
    else if (text === "CHUNKED")
      socket.write(`${head.replace("LENGTH", "transfer-encoding: chunked")}\r\n\r\nff\r\nabc`);
    else socket.write(text);
    await isOver;
  });
});

describe("P11: a stop of that port", () => {
  test("takes nothing new and waits for what is under way", async () => {
    const own = await openGetBodyBridge(server.services, { host: HOST, port: 0 });
    const request = requestOf(bodyOf([box.token()], "protobuf"));
    const socket = connect(own.port, HOST);
    const chunks: Buffer[] = [];
    const ended = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.on("data", (bytes: Buffer) => chunks.push(bytes));
    socket.write(request.subarray(0, -10));
    await Bun.sleep(100);
    const stopped = own.stop();
    await expect(exchange(own.port, "")).rejects.toThrow();
    socket.write(request.subarray(-10));
    await Promise.all([stopped, ended]);
    expect(parseAnswer(Buffer.concat(chunks)).status).toBe(200);
  });
});
