/** P9: what the log of a server may not hold. The end of tests/setup.ts looks for it in all that the suite has logged. */
import { describe, expect, test } from "bun:test";
import { createLog } from "../src/log.ts";
import { secretsIn } from "./support/loggedSecrets.ts";

const ID = "a8aa3cdf-9c79-4428-93d4-9f4cf8b760f5";

/** A line as the log writes it. */
function lineOf(fields: Record<string, string | number>): string {
  let text = "";
  const log = createLog("info", false, (line) => {
    text += line;
  });
  log.info("request", fields);
  log.flush();
  return text.trim();
}

describe("P9: a secret in the log is found, whatever it stands in", () => {
  test.each<[what: string, fields: Record<string, string | number>]>([
    ["an e-mail address", { reason: "no such user: Anna@Example.org" }],
    ["an access token", { detail: Buffer.alloc(80, 77).toString("base64url") }],
    ["a token of 32 random bytes", { message: Buffer.alloc(32, 200).toString("base64") }],
    ["a blob in hex", { value: Buffer.alloc(24, 200).toString("hex") }],
    ["a container id", { container: ID }],
    ["an id without hyphens", { reason: ID.replaceAll("-", "") }],
    ["more than an id where one is expected", { request_id: `${ID} Anna` }],
    ["a passcode", { reason: "12345678 is wrong" }],
    ["a passcode as it is mailed", { reason: "1234 5678" }],
    ["a passcode as a number", { otp: 12345678 }],
    ["a path with a query", { reason: "GET /api/health?key=1" }],
    ["a path instead of a route's pattern", { route: "/api/x/Anna" }],
  ])("%s", (_, fields) => {
    expect(secretsIn(lineOf(fields))).not.toEqual([]);
  });

  test("a line that holds none is none", () => {
    const fields = { request_id: ID, method: "PUT", route: "/api/container/entry-and-category", status: 200 };
    expect(secretsIn(lineOf({ ...fields, duration_ms: 1234.567 }))).toEqual([]);
    expect(
      secretsIn(
        lineOf({ stack: "Error: x\n    at run (/srv/entries-server/src/jobs/a-file-with-a-long-name.ts:12:34)" }),
      ),
    ).toEqual([]);
  });
});
