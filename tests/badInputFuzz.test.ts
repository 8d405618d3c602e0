/** No input produces a 500: seeded random requests, over the app and over a raw socket. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { routes } from "../src/app.ts";
import { ServerErrorResponse } from "../src/wire/common.ts";
import { MEDIA_TYPES } from "../src/wire/negotiation.ts";
import { ENCODINGS, putContainer } from "./support/containerCalls.ts";
import { expectHeadIsExact } from "./support/containerRows.ts";
import { seededRandom } from "./support/races.ts";
import { goodRequest, type Outgoing, PAGE_TYPE, type Stage, setStage, TOKENS } from "./support/routeCases.ts";
import { startTestServer } from "./support/server.ts";
import { exchange, listen, parseAnswer, UNLIMITED } from "./support/socket.ts";

const APP_REQUESTS = 3_000;
const SOCKET_REQUESTS = 400;

let stage: Stage;
let socket: ReturnType<typeof listen>;
beforeAll(async () => {
  const server = await startTestServer({
    ...UNLIMITED,
    ENTRIES_PROTOBUF_MAX_SIZE_MB: "1",
    ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000",
    ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: "1000000",
  });
  stage = await setStage(server);
  socket = listen(server);
});
afterAll(async () => {
  await socket.stop();
  await stage.server.stop();
});

/** Random choices of one request; the same seed makes the same choices. */
class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }

  bytes(maxLength: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: this.below(maxLength + 1) }, () => this.below(256));
  }
}

const ODD_TEXTS = [
  "",
  " ",
  "x",
  "null",
  "application/json",
  "application/json; charset=utf-16",
  "APPLICATION/PROTOBUF;q=0.5",
  "*/*;q=0",
  "application/json;q=1.0000001, */*;q=-1",
  ",,,",
  "=;=;=",
  "x-access-token=y; x-csrf-token=z",
  "x-container-access-token=; x-access-token",
  "true",
  "-1",
  "1e9",
  "999999999999999999999999",
  "::1",
  "1.2.3.4, 5.6.7.8, unknown",
  "[::ffff:1.2.3.4]:99",
  "%",
  "%00",
  "ann%00@example.com",
  "%ff%fe",
  "\u00e9\u00ff",
  "a".repeat(9_000),
  "eyJ".repeat(2_000),
  "../../etc/passwd",
  "' or 1=1 --",
];
const ODD_JSON = [
  "null",
  "-0",
  "1e400",
  "1e-400",
  "9223372036854775808",
  '"9223372036854775808"',
  '"-9223372036854775809"',
  '"\\u0000"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\ufeff"',
  '"00000000-0000-0000-0000-000000000000"',
  '"urn:uuid:00000000-0000-0000-0000-000000000000"',
  '"a@b.c\\u0000"',
  '"\\u0130\\u0131@example.com"',
  '""',
  "[]",
  "{}",
  "true",
  `${"[".repeat(5_000)}${"]".repeat(5_000)}`,
  `"${"A".repeat(70_000)}"`,
];
const HEADERS = [
  "accept",
  "content-type",
  "content-length",
  "transfer-encoding",
  "cookie",
  "origin",
  "host",
  "sec-fetch-site",
  "x-forwarded-for",
  "x-client-is-browser",
  "x-csrf-token",
  "accept-encoding",
  "appversion",
  "expect",
  ...Object.values(TOKENS).map(({ header }) => header),
];

function spoilBytes(dice: Dice, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = [...body];
  for (let times = 1 + dice.below(4); times > 0; times--) {
    const at = dice.below(bytes.length + 1);
    const how = dice.below(5);
    if (how === 0) bytes[at] = dice.below(256);
    else if (how === 1) bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.below(8));
    else if (how === 2) bytes.splice(at, 1 + dice.below(4));
    else if (how === 3) bytes.splice(at, 0, ...dice.bytes(6));
    else bytes.splice(at, 0, ...bytes.slice(at, at + dice.below(30)));
  }
  return Uint8Array.from(bytes);
}

function spoilJson(dice: Dice, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(body).toString();
  const values = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d+|true|false/g)];
  const victim = dice.pick(values.length > 0 ? values : [...text.matchAll(/^/g)]);
  const odd = dice.pick(ODD_JSON);
  return Buffer.from(text.slice(0, victim.index) + odd + text.slice(victim.index + victim[0].length));
}

function spoilText(dice: Dice, text: string): string {
  const at = dice.below(text.length + 1);
  const how = dice.below(4);
  if (how === 0) return text.slice(0, at) + dice.pick([..."Aa0-_=%\u00ff,; "]) + text.slice(at + 1);
  if (how === 1) return text.slice(0, at);
  if (how === 2) return text.slice(0, at) + text.slice(at, at + 20) + text.slice(at);
  return dice.pick(ODD_TEXTS);
}

async function anyRequest(dice: Dice): Promise<Outgoing> {
  // Hashing passwords is slow on purpose: routes that do it get their turn less often.
  const route = dice.pick(routes.filter(({ spec }) => spec.limit !== "expensive-auth" || dice.chance(0.2)));
  const encoding = dice.pick(ENCODINGS);
  const { method, url, headers, body } = await goodRequest(stage, route, encoding);
  const outgoing: Outgoing = { method, url, headers: { ...headers } };
  if (body) {
    const how = dice.below(4);
    if (how === 0) outgoing.body = dice.bytes(200);
    else if (how === 1) outgoing.body = spoilBytes(dice, body);
    else if (how === 2 && encoding === "json") outgoing.body = spoilJson(dice, body);
    else outgoing.body = body as Uint8Array<ArrayBuffer>;
  }
  for (const name of Object.keys(outgoing.headers)) {
    if (dice.chance(0.06)) outgoing.headers[name] = spoilText(dice, outgoing.headers[name] ?? "");
    if (dice.chance(0.02)) delete outgoing.headers[name];
  }
  while (dice.chance(0.3)) outgoing.headers[dice.pick(HEADERS)] = dice.pick(ODD_TEXTS);
  if (dice.chance(0.05)) outgoing.method = dice.pick(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]);
  if (dice.chance(url.includes("?") ? 0.6 : 0.05))
    outgoing.url = `${url.split("?")[0]}?${dice.pick(["", "email=", "email="])}${dice.pick(ODD_TEXTS)}`;
  if (dice.chance(0.03)) outgoing.url = `http://localhost/${dice.pick(ODD_TEXTS)}`;
  if (outgoing.method === "GET" || outgoing.method === "HEAD") delete outgoing.body;
  return outgoing;
}

/** Requests that the fetch standard cannot make at all are left to the socket. */
function asRequest({ url, ...init }: Outgoing): Request | undefined {
  try {
    return new Request(url, init);
  } catch {
    return undefined;
  }
}

/** An error is one of the contract, in the encoding that its Content-Type names; or a page. */
function expectContractError(contentType: string | null | undefined, body: Uint8Array, seed: number): void {
  if (contentType === PAGE_TYPE) {
    expect(Buffer.from(body).toString()).toMatch(/^<!doctype html>.*<h1>[^<]+<\/h1>.*<\/html>\n$/s);
    return;
  }
  expect({ seed, isKnown: Object.values<string | null | undefined>(MEDIA_TYPES).includes(contentType) }).toEqual({
    seed,
    isKnown: true,
  });
  const decode = contentType === MEDIA_TYPES.json ? ServerErrorResponse.decodeJson : ServerErrorResponse.decodeProtobuf;
  expect(decode(body)).not.toMatchObject({ err_type: "INTERNAL_ERROR" });
}

function expectNothingFailed(): void {
  const failures = stage.server.logLines.filter((line) => line.includes("request failed"));
  expect(failures).toEqual([]);
}

async function expectAlive(): Promise<void> {
  const answer = await putContainer(stage.device, stage.box, { expected_previous_version_nonce: 12_345n });
  expect(answer.error?.err_type).toBe("OUT_OF_DATE");
  await expectHeadIsExact(stage.server.db, stage.box.id);
}

describe("no input produces a 500", () => {
  test(`${APP_REQUESTS} spoilt requests to the app`, async () => {
    const statuses = new Map<number, number>();
    for (let seed = 1; seed <= APP_REQUESTS; seed++) {
      const request = asRequest(await anyRequest(new Dice(seed)));
      if (!request) continue;
      const response = await stage.server.app.handle(request);
      const body = new Uint8Array(await response.arrayBuffer());
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      if (response.status >= 500) throw new Error(`seed ${seed}: ${request.method} ${request.url} ${response.status}`);
      if (response.status >= 400 && request.method !== "HEAD") {
        expectContractError(response.headers.get("content-type"), body, seed);
      }
    }
    expectNothingFailed();
    await expectAlive();
    // Not everything was refused at the door.
    for (const status of [200, 201, 400, 401, 403, 404, 405]) expect(statuses.get(status) ?? 0).toBeGreaterThan(1);
    expect([...statuses.values()].reduce((sum, count) => sum + count)).toBeGreaterThan(APP_REQUESTS * 0.9);
  });

  /** As bytes, sometimes damaged: also what no HTTP client would send. */
  function onTheWire(dice: Dice, { method, url, headers, body }: Outgoing): Uint8Array {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    if (body && !("content-length" in headers)) lines.push(`content-length: ${body.length}`);
    const head = [`${method} ${url.slice("http://localhost".length)} HTTP/1.1`, "host: localhost", "connection: close"];
    const text = `${[...head, ...lines].join("\r\n")}\r\n\r\n`;
    const bytes = Buffer.concat([Buffer.from(text, "latin1"), body ?? Buffer.alloc(0)]);
    return dice.chance(0.3) ? spoilBytes(dice, bytes) : bytes;
  }

  test(`${SOCKET_REQUESTS} spoilt requests over a socket, some of them no HTTP at all`, async () => {
    let answered = 0;
    async function ask(seed: number): Promise<void> {
      const dice = new Dice(1_000_000 + seed);
      const request = await anyRequest(dice);
      const bytes = onTheWire(dice, request);
      // A server may wait for more of a body that is announced but never comes: then we hang up.
      const answer = await exchange(socket.port, bytes, { patienceMs: 300 });
      if (answer.length === 0) return;
      answered++;
      const { status, headers, body } = parseAnswer(answer);
      // 505 is the runtime's, to a damaged "HTTP/1.1".
      if (!(status >= 100 && status < 500) && status !== 505) throw new Error(`seed ${seed}: status ${status}`);
      if (status >= 400 && headers.has("content-type") && request.method !== "HEAD") {
        // Bytes behind it are the answer to what the server took for a second request.
        const own = body.subarray(0, Number(headers.get("content-length")));
        expectContractError(headers.get("content-type"), own, seed);
      }
    }
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      for (let seed = lane; seed < SOCKET_REQUESTS; seed += 8) await ask(seed);
    });
    await Promise.all(lanes);
    expectNothingFailed();
    await expectAlive();
    expect(answered).toBeGreaterThan(SOCKET_REQUESTS * 0.7);
  });
});
