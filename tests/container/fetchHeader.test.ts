/** W2: reading containers by GET, over a real socket: what headers may hold, and what becomes of a body. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ContainerAccessTokenList, ContainerList } from "../../src/container/messages.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import type { Box, Device } from "../support/client.ts";
import { ENCODINGS } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, type RawAnswer, sendRaw, UNLIMITED } from "../support/socket.ts";

let server: TestServer;
let device: Device;
let socket: ReturnType<typeof listen>;
let boxes: Box[];
beforeAll(async () => {
  server = await startTestServer(UNLIMITED);
  device = await server.signUp();
  socket = listen(server);
  boxes = await Promise.all(Array.from({ length: 50 }, () => device.createContainer()));
  boxes.sort((a, b) => (a.id < b.id ? -1 : 1));
});
afterAll(async () => {
  await socket.stop();
  await server.stop();
});

const tokensOf = (count: number) => boxes.slice(0, count).map((box) => box.token());

/** GET with one line per given header value. */
function get(tokenLines: string[], more: string[] = [], body = "", signedIn = true): Promise<RawAnswer> {
  const lines = [...tokenLines.map((value) => `x-container-access-token: ${value}`), ...more];
  if (signedIn) lines.push(`x-access-token: ${device.accessToken}`);
  return sendRaw(socket.port, "GET /api/container", lines, body);
}

function idsIn(answer: RawAnswer): string[] {
  expect(answer.status).toBe(200);
  const isJson = answer.headers.get("content-type") === "application/json";
  const list = isJson ? ContainerList.decodeJson(answer.body) : ContainerList.decodeProtobuf(answer.body);
  return list.containers.map(({ id }) => id);
}

function errorIn(answer: RawAnswer): { status: number; type: string; message: string } {
  const isJson = answer.headers.get("content-type") === "application/json";
  const error = isJson ? ServerErrorResponse.decodeJson(answer.body) : ServerErrorResponse.decodeProtobuf(answer.body);
  return { status: answer.status, type: error.err_type, message: error.err_message };
}

describe.each(ENCODINGS)("W2: GET /api/container over a socket, answered in %s", (encoding) => {
  const accept = `accept: application/${encoding}`;

  test("one token reads one container", async () => {
    expect(idsIn(await get(tokensOf(1), [accept]))).toEqual([boxes[0]?.id ?? ""]);
  });

  test("several tokens are separated by commas, with or without spaces", async () => {
    const ids = boxes.slice(0, 3).map(({ id }) => id);
    expect(idsIn(await get([tokensOf(3).join(",")], [accept]))).toEqual(ids);
    expect(idsIn(await get([tokensOf(3).join(" ,  ")], [accept]))).toEqual(ids);
  });

  test("the header may be repeated, also together with commas", async () => {
    const [a = "", b = "", c = "", d = ""] = tokensOf(4);
    expect(idsIn(await get([c, a, b], [accept]))).toEqual(boxes.slice(0, 3).map(({ id }) => id));
    expect(idsIn(await get([`${d},${a}`, b, c], [accept]))).toEqual(boxes.slice(0, 4).map(({ id }) => id));
  });

  test("50 tokens fit into the header limit, in one header and in 50", async () => {
    const ids = boxes.map(({ id }) => id);
    const tokens = tokensOf(50);
    expect(tokens.join(",").length).toBeGreaterThan(11_000);
    expect(idsIn(await get([tokens.join(",")], [accept]))).toEqual(ids);
    expect(idsIn(await get(tokens, [accept]))).toEqual(ids);
  });

  test("51 tokens are TOO_MANY_REQUESTED, whatever they are", async () => {
    const many = [...tokensOf(50), tokensOf(1)[0] ?? ""];
    expect(errorIn(await get([many.join(",")], [accept]))).toMatchObject({ status: 418, type: "TOO_MANY_REQUESTED" });
    const garbage = Array.from({ length: 51 }, () => "x");
    expect(errorIn(await get(garbage, [accept]))).toMatchObject({ status: 418, type: "TOO_MANY_REQUESTED" });
  });

  test("no container token is TOKEN_MISSING", async () => {
    expect(errorIn(await get([], [accept]))).toMatchObject({ status: 401, type: "TOKEN_MISSING" });
  });

  test("cookies are not read", async () => {
    const cookie = `cookie: x-container-access-token=${tokensOf(1)[0]}`;
    expect(errorIn(await get([], [accept, cookie]))).toMatchObject({ status: 401, type: "TOKEN_MISSING" });
  });

  test("an undecodable token in the header is INCORRECT_CREDENTIAL", async () => {
    const answer = await get([`${tokensOf(1)[0]},not-a-token`], [accept]);
    expect(errorIn(answer)).toMatchObject({ status: 401, type: "INCORRECT_CREDENTIAL" });
  });

  const body = ContainerAccessTokenList.encodeJson({ tokens: [] });
  test.each([
    ["Content-Length", [`content-length: ${body.length}`], body],
    ["chunks", ["transfer-encoding: chunked"], `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`],
    ["chunks that turn out to be none", ["transfer-encoding: chunked"], "0\r\n\r\n"],
  ])(
    "a GET that announces a body by %s is 400 naming the new route, also beside good tokens",
    async (_how, head, sent) => {
      for (const tokenLines of [[], tokensOf(1)]) {
        const answer = await get(tokenLines, [accept, "content-type: application/json", ...head], sent);
        expect(errorIn(answer)).toMatchObject({ status: 400, type: "PREHANDLER" });
        expect(errorIn(answer).message).toContain("POST /api/container/query");
      }
    },
  );

  test("Content-Length: 0 announces nothing", async () => {
    expect(idsIn(await get(tokensOf(1), [accept, "content-length: 0"]))).toEqual([boxes[0]?.id ?? ""]);
  });

  test("the access token is asked for first", async () => {
    const announced = [accept, "content-length: 2"];
    expect(errorIn(await get([], announced, "{}", false))).toMatchObject({ status: 401, type: "TOKEN_MISSING" });
    expect(errorIn(await get(tokensOf(1), [accept], "", false))).toMatchObject({ status: 401, type: "TOKEN_MISSING" });
  });
});

describe("messages.md: without Accept", () => {
  test("a GET is answered in protobuf", async () => {
    const answer = await get(tokensOf(1));
    expect(answer.headers.get("content-type")).toBe("application/protobuf");
    expect(idsIn(answer)).toEqual([boxes[0]?.id ?? ""]);
  });
});
