import { describe, expect, test } from "bun:test";
import { type Encoding, MEDIA_TYPES, requestEncoding, responseEncoding } from "../../src/wire/negotiation.ts";

describe("messages.md: the request body is read by its Content-Type", () => {
  test.each([
    ["application/protobuf", "protobuf"],
    ["application/x-protobuf", "protobuf"],
    ["application/json", "json"],
    ["application/json; charset=utf-8", "json"],
    ["application/json;charset=UTF-8", "json"],
    ['application/protobuf; messageType="x.Y"', "protobuf"],
    ["Application/JSON", "json"],
    [" application/json ", "json"],
    [null, undefined],
    ["", undefined],
    ["*/*", undefined],
    ["application/*", undefined],
    ["text/plain", undefined],
    ["text/json", undefined],
    ["application/jsonp", undefined],
    ["application/json-seq", undefined],
    ["application/vnd.google.protobuf", undefined],
    ["application/x-www-form-urlencoded", undefined],
    ["application/json, application/protobuf", undefined],
    ["charset=utf-8; application/json", undefined],
    ["__proto__", undefined],
  ] as [string | null, Encoding | undefined][])("%p is %p", (contentType, expected) => {
    expect(requestEncoding(contentType)).toBe(expected);
  });
});

describe("W18: the answer is encoded by Accept", () => {
  const P = "protobuf";
  const J = "json";
  type Case = [accept: string | null, forProtobuf: Encoding, forJson: Encoding, withoutBody: Encoding];
  const cases: Case[] = [
    // Nothing asked for: mirror, protobuf without a body.
    [null, P, J, P],
    ["", P, J, P],
    ["*/*", P, J, P],
    ["*/*;q=0.1", P, J, P],
    ["application/*", P, J, P],
    // One named.
    ["application/json", J, J, J],
    ["application/protobuf", P, P, P],
    ["application/x-protobuf", P, P, P],
    ["APPLICATION/JSON", J, J, J],
    ["application/json; charset=utf-8", J, J, J],
    // q-values.
    ["application/json;q=0.9, application/protobuf;q=0.8", J, J, J],
    ["application/json;q=0.8, application/protobuf;q=0.9", P, P, P],
    ["application/json; q=0.5 , application/protobuf", P, P, P],
    ["application/json;Q=0.001, text/html", J, J, J],
    ["application/x-protobuf;q=0.7, application/protobuf;q=0.2, application/json;q=0.5", P, P, P],
    ["application/json;charset=utf-8;q=0.3, application/protobuf;q=0.4", P, P, P],
    // Both equally: the request's own.
    ["application/json, application/protobuf", P, J, P],
    ["application/protobuf;q=0.5, application/json;q=0.50", P, J, P],
    // A name outranks a wildcard of the same weight; a heavier wildcard wins.
    ["application/json, text/plain, */*", J, J, J],
    ["application/protobuf, */*", P, P, P],
    ["application/*, */*", P, J, P],
    ["application/json;q=0.5, */*", P, P, P],
    ["application/json;q=0.5, application/*;q=0.8", P, P, P],
    // The closer range decides about a type, even downwards.
    ["application/json;q=0, */*", P, P, P],
    ["application/protobuf;q=0, application/x-protobuf;q=0, */*", J, J, J],
    ["*/*, application/protobuf;q=0.0", J, J, J],
    ["application/*;q=0, */*", P, J, P],
    ["application/*;q=0.1, */*;q=0.9, application/json;q=0.2", J, J, J],
    // Nothing fits: mirror, never 406.
    ["text/html", P, J, P],
    ["text/*, image/png", P, J, P],
    ["application/json;q=0", P, J, P],
    ["application/protobuf;q=0, application/json;q=0", P, J, P],
    ["*/*;q=0", P, J, P],
    // Malformed weights do not count, malformed ranges neither.
    ["application/json;q=high", P, J, P],
    ["application/json;q=2", P, J, P],
    ["application/json;q=", P, J, P],
    ["application/json;q=-1, application/protobuf;q=0.1", P, P, P],
    ["json, */json, */", P, J, P],
    [",,;;,application/json,", J, J, J],
  ];
  test.each(cases)("%p", (accept, forProtobuf, forJson, withoutBody) => {
    expect(responseEncoding(accept, "protobuf")).toBe(forProtobuf);
    expect(responseEncoding(accept, "json")).toBe(forJson);
    expect(responseEncoding(accept, undefined)).toBe(withoutBody);
  });

  test("a header of 16 KiB is dealt with at once", () => {
    const header = `${"a/b;q=0.1,".repeat(1_638)}application/json`;
    const start = performance.now();
    expect(responseEncoding(header, "protobuf")).toBe("json");
    expect(performance.now() - start).toBeLessThan(500);
  });

  test("the answer's Content-Type is the registered name", () => {
    expect(MEDIA_TYPES).toEqual({ protobuf: "application/protobuf", json: "application/json" });
  });
});
