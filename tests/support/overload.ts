/** What an answer must have that refuses a request for now, and ways to wait for better times. */
import { expect } from "bun:test";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import type { Answer } from "./client.ts";
import { expectError } from "./containerCalls.ts";

/** Headers that no answer may lack, a refusal least of all: without CORS a browser shows its page nothing. */
const HEADERS = ["x-request-id", "x-content-type-options", "referrer-policy", "cache-control"];

function expectHeaders(headers: Headers): void {
  expect(headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
  expect(HEADERS.filter((name) => !headers.has(name))).toEqual([]);
}

/** 503 with `Retry-After`, a body, and what every answer has (W11, P12). */
export function expectOverloaded(answer: Answer<unknown>): void {
  expectError(answer, "PREHANDLER", 503);
  expectHeaders(answer.headers);
}

/** The same of an answer that came over a socket. */
export async function expectOverloadedResponse(response: Response): Promise<void> {
  expect(response.status).toBe(503);
  expectHeaders(response.headers);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const isJson = response.headers.get("content-type") === "application/json";
  const error = isJson ? ServerErrorResponse.decodeJson(bytes) : ServerErrorResponse.decodeProtobuf(bytes);
  expect(error.err_type).toBe("PREHANDLER");
}

/** Asks again and again until the answer is no 503. */
export async function untilServed<T>(attempt: () => Promise<Answer<T>>, limitMs = 20_000): Promise<Answer<T>> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const answer = await attempt();
    if (answer.status !== 503 || performance.now() > deadline) return answer;
    await Bun.sleep(20);
  }
}

/** @throws Error when it does not become true */
export async function until(isTrue: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error("what was waited for did not happen");
    await Bun.sleep(20);
  }
}
