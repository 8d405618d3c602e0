/** Bodies are collected as they come, whatever the pieces and whatever length was declared. */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { ApiError } from "../../src/errors.ts";
import { readBody } from "../../src/http/body.ts";

const MIB = 1024 * 1024;

function requestOf(pieces: readonly Uint8Array[], declared: number | undefined): Request {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  const headers = new Headers(declared === undefined ? undefined : { "content-length": String(declared) });
  return new Request("http://localhost/", { method: "POST", body, headers });
}

/** Cuts bytes into pieces of at most so many. */
function cut(bytes: Uint8Array, pieceBytes: number): Uint8Array[] {
  const count = Math.ceil(bytes.length / pieceBytes);
  return Array.from({ length: count }, (_, index) => bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes));
}

describe("readBody", () => {
  const sizes = [0, 1, 16 * 1024, 16 * 1024 + 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 7];

  test.each(sizes)("gives back %d bytes in any pieces, their number declared or not", async (size) => {
    const bytes = randomBytes(size);
    for (const pieceBytes of [999, 64 * 1024, 3 * MIB]) {
      for (const declared of [size, undefined]) {
        let told = 0;
        const pieces = cut(bytes, pieceBytes);
        const body = await readBody(requestOf(pieces, declared), 8 * MIB, () => told++);
        expect(Buffer.compare(body, bytes)).toBe(0);
        // What is declared small is read in one go.
        if (declared === undefined || size > 16 * 1024) expect(told).toBeGreaterThanOrEqual(pieces.length > 0 ? 1 : 0);
      }
    }
  });

  test("exactly the limit is taken; one byte more is 413, declared or not", async () => {
    const limit = 2 * MIB;
    for (const declared of [true, false]) {
      const request = (size: number) => requestOf(cut(randomBytes(size), 50_000), declared ? size : undefined);
      expect(await readBody(request(limit), limit, () => {})).toHaveLength(limit);
      const refusal = await readBody(request(limit + 1), limit, () => {}).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(ApiError);
      expect(refusal).toMatchObject({ type: "PREHANDLER", status: 413 });
    }
  });

  test("a declared length that is not true changes nothing", async () => {
    const bytes = randomBytes(3 * MIB);
    for (const declared of [20_000, MIB, 2 * MIB, 7 * MIB]) {
      const body = await readBody(requestOf(cut(bytes, 100_000), declared), 8 * MIB, () => {});
      expect(Buffer.compare(body, bytes)).toBe(0);
    }
  });
});
