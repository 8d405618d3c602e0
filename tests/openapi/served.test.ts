/** `/openapi.json` and `/schema.proto`, and the commands that print the same. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { MESSAGES } from "../../src/messages.ts";
import { protoText } from "../../src/wire/proto.ts";
import { DESCRIPTION_TEXT } from "../support/describedAnswers.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const get = (path: string, headers: Record<string, string> = {}, method = "GET") =>
  server.app.handle(new Request(`http://localhost${path}`, { method, headers }));

const SERVED = [
  { path: "/openapi.json", type: "application/json", text: DESCRIPTION_TEXT },
  { path: "/schema.proto", type: "text/plain; charset=utf-8", text: protoText(MESSAGES) },
];

describe.each(SERVED)("$path", ({ path, type, text }) => {
  test("is what the definitions say, open to everybody", async () => {
    const answer = await get(path);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, type]);
    expect(await answer.text()).toBe(text);
  });

  test("comes compressed to who takes that, and says that this varies", async () => {
    const codings = { gzip: Bun.gunzipSync, zstd: Bun.zstdDecompressSync };
    for (const [coding, unpack] of Object.entries(codings)) {
      const answer = await get(path, { "accept-encoding": coding });
      expect(answer.headers.get("content-encoding")).toBe(coding);
      expect(answer.headers.get("vary")).toContain("Accept-Encoding");
      const packed = new Uint8Array(await answer.arrayBuffer());
      expect(packed.length).toBeLessThan(text.length / 2);
      expect(new TextDecoder().decode(unpack(packed))).toBe(text);
    }
    const plain = await get(path, { "accept-encoding": "br, gzip;q=0" });
    expect(plain.headers.get("content-encoding")).toBeNull();
  });

  test("is 304 without a body for who has it already, and whole for who has another", async () => {
    const etag = (await get(path)).headers.get("etag") ?? "";
    expect(etag).toMatch(/^W\/"[\w-]{22}"$/);
    for (const names of [etag, etag.slice(2), `"other", ${etag}`, "*"]) {
      const answer = await get(path, { "if-none-match": names });
      expect([names, answer.status, await answer.text()]).toEqual([names, 304, ""]);
      expect(answer.headers.get("etag")).toBe(etag);
      expect(answer.headers.get("cache-control")).toBe("no-cache");
    }
    for (const names of ['"other"', "", etag.slice(3, -1)]) {
      expect((await get(path, { "if-none-match": names })).status).toBe(200);
    }
  });

  test("platform 2.1: HEAD is another method", async () => {
    expect((await get(path, {}, "HEAD")).status).toBe(405);
  });
});

describe("the commands", () => {
  test.each([
    ["openapi", DESCRIPTION_TEXT],
    ["proto", protoText(MESSAGES)],
  ])("entries-server %s prints the same, without any setting", async (command, text) => {
    const main = new URL("../../src/main.ts", import.meta.url).pathname;
    const child = Bun.spawn([process.execPath, main, command], { cwd: tmpdir(), env: {}, stdout: "pipe" });
    expect(await new Response(child.stdout).text()).toBe(text);
    expect(await child.exited).toBe(0);
  });
});
