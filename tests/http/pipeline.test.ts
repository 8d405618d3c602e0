import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { routes } from "../../src/app.ts";
import { CredentialPair, Otp } from "../../src/auth/messages.ts";
import { ERRORS, type ErrorType } from "../../src/errors.ts";
import { NewUser } from "../../src/user/messages.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import type { Message } from "../../src/wire/message.ts";
import { type Encoding, MEDIA_TYPES } from "../../src/wire/negotiation.ts";
import { createUnverified } from "../support/accounts.ts";
import { newUser } from "../support/client.ts";
import { ENCODINGS } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, sendRaw } from "../support/socket.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const PATHS = [...new Set(routes.map(({ spec }) => spec.path))];
const methodsOf = (path: string) => routes.filter(({ spec }) => spec.path === path).map(({ spec }) => spec.method);

interface Outcome {
  status: number;
  headers: Headers;
  encoding: Encoding | undefined;
  error: ServerErrorResponse | undefined;
}

/** A request in this process; the answer's error is read in the encoding that its Content-Type names. */
async function ask(method: string, path: string, init: RequestInit = {}): Promise<Outcome> {
  const response = await server.app.handle(new Request(`http://localhost${path}`, { method, ...init }));
  const { status, headers } = response;
  const bytes = new Uint8Array(await response.arrayBuffer());
  const encoding = ENCODINGS.find((candidate) => headers.get("content-type") === MEDIA_TYPES[candidate]);
  if (response.ok || bytes.length === 0) return { status, headers, encoding, error: undefined };
  const read = encoding === "json" ? ServerErrorResponse.decodeJson : ServerErrorResponse.decodeProtobuf;
  return { status, headers, encoding, error: read(bytes) };
}

function expectRefused(outcome: Outcome, type: ErrorType, status: number = ERRORS[type].status): void {
  expect({ status: outcome.status, type: outcome.error?.err_type }).toEqual({ status, type });
  expect(outcome.error?.err_message).toMatch(/^[A-Z].+\.$/);
}

describe("routing", () => {
  test.each([
    "//",
    "/index.html",
    "/api",
    "/api/",
    "/api/user/",
    "/api/User",
    "//api/user",
    "/api/user/x",
    "/api/%75ser",
    "/%zz",
  ])("messages.md 25: %s is no route: 404", async (path) => {
    for (const method of ["GET", "POST", "DELETE"]) expectRefused(await ask(method, path), "PREHANDLER", 404);
  });

  test.each(PATHS)("W18: a wrong method on %s is 405 and Allow names the right ones", async (path) => {
    const right: string[] = methodsOf(path);
    const wrong = ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"].filter(
      (name) => !right.includes(name),
    );
    for (const method of wrong) {
      const outcome = await ask(method, path);
      expectRefused(outcome, "PREHANDLER", 405);
      expect(outcome.headers.get("allow")?.split(", ").sort()).toEqual([...right].sort());
    }
  });

  test.each(PATHS)("W18: HEAD on %s is 405 with Allow, also where GET is right", async (path) => {
    const outcome = await ask("HEAD", path);
    expect(outcome.status).toBe(405);
    expect(outcome.headers.get("allow")?.split(", ").sort()).toEqual([...methodsOf(path)].sort());
  });

  test.each(PATHS)("W18: a preflight on %s is 200", async (path) => {
    expect((await ask("OPTIONS", path)).status).toBe(200);
  });

  test("the heartbeat answers 200 without a body", async () => {
    const { status, encoding } = await ask("GET", "/api/heartbeat?x=1");
    expect({ status, encoding }).toEqual({ status: 200, encoding: undefined });
  });
});

describe("the encoding of errors", () => {
  const PROTOBUF = MEDIA_TYPES.protobuf;
  const JSON_TYPE = MEDIA_TYPES.json;

  test.each<[accept: string | undefined, contentType: string | undefined, expected: Encoding]>([
    [undefined, undefined, "protobuf"],
    ["*/*", undefined, "protobuf"],
    [undefined, JSON_TYPE, "json"],
    ["*/*", JSON_TYPE, "json"],
    [undefined, "application/json; charset=utf-8", "json"],
    [undefined, "application/x-protobuf", "protobuf"],
    [undefined, "text/plain", "protobuf"],
    [JSON_TYPE, PROTOBUF, "json"],
    [PROTOBUF, JSON_TYPE, "protobuf"],
    ["application/x-protobuf", JSON_TYPE, "protobuf"],
    [`${JSON_TYPE};q=0.5, ${PROTOBUF};q=0.9`, JSON_TYPE, "protobuf"],
    [`${JSON_TYPE};q=0.9, ${PROTOBUF};q=0.5`, PROTOBUF, "json"],
    [`${JSON_TYPE};q=0, */*`, JSON_TYPE, "protobuf"],
    ["text/html", JSON_TYPE, "json"], // nothing offered fits: mirrored, never 406
    ["text/html", undefined, "protobuf"],
  ])("W18: Accept %p with Content-Type %p is answered in %s", async (accept, contentType, expected) => {
    const headers = { ...(accept && { accept }), ...(contentType && { "content-type": contentType }) };
    const missing = await ask("POST", "/nowhere", { headers, body: "x" });
    expect(missing.encoding).toBe(expected);
    expectRefused(missing, "PREHANDLER", 404);
    const unreadable = await ask("POST", "/api/auth/sign-in", { headers, body: "\xff" });
    expect(unreadable.encoding).toBe(expected);
    expectRefused(unreadable, "PREHANDLER", 400);
  });
});

/** The messages of this server's public routes, with the headers that lead to their bodies. */
const BODIES: [path: string, message: Message<never>, value: unknown][] = [
  ["/api/user", NewUser as Message<never>, newUser()],
  ["/api/auth/sign-in", CredentialPair as Message<never>, { email: "a@b.c", auth_string: Buffer.from("x"), nonce: 1 }],
  ["/api/auth/otp/verify", Otp as Message<never>, { value: "12345678" }],
];

describe.each(BODIES)("the body of POST %s", (path, message, value) => {
  let token: string;
  beforeAll(async () => {
    token = (await createUnverified(server)).signinToken;
  });
  const json = () => message.encodeJson(value as never);
  const protobuf = () => message.encodeProtobuf(value as never);
  const post = (encoding: Encoding, body: string | Uint8Array<ArrayBuffer> | undefined) =>
    ask("POST", path, {
      headers: { "content-type": MEDIA_TYPES[encoding], "x-signin-token": token },
      ...(body === undefined ? {} : { body }),
    });

  async function expectUnreadable(encoding: Encoding, body: string | Uint8Array<ArrayBuffer> | undefined) {
    const outcome = await post(encoding, body);
    expectRefused(outcome, "PREHANDLER", 400);
    expect(outcome.encoding).toBe(encoding);
  }

  test.each([undefined, "text/plain", "application/octet-stream", "application/x-www-form-urlencoded", "json", ""])(
    "messages.md: Content-Type %p is 400 and the message names the two that are right",
    async (contentType) => {
      const headers = { ...(contentType !== undefined && { "content-type": contentType }), "x-signin-token": token };
      const outcome = await ask("POST", path, { headers, body: protobuf() });
      expectRefused(outcome, "PREHANDLER", 400);
      expect(outcome.error?.err_message).toMatch(/application\/protobuf.*application\/json/);
    },
  );

  test("W17: a body that ends too early is 400", async () => {
    await expectUnreadable("protobuf", protobuf().slice(0, -1));
    await expectUnreadable("json", json().slice(0, -1));
  });

  test("W17: no body at all is 400", async () => {
    for (const encoding of ENCODINGS) {
      await expectUnreadable(encoding, undefined);
      await expectUnreadable(encoding, "");
    }
  });

  test("W17: the other encoding than announced is 400", async () => {
    await expectUnreadable("json", protobuf());
    await expectUnreadable("protobuf", json());
  });

  test("W17: each field missing, null or of a wrong type is 400 and is named", async () => {
    const whole: Record<string, unknown> = JSON.parse(json());
    for (const name of Object.keys(whole)) {
      const { [name]: removed, ...rest } = whole;
      for (const damaged of [
        rest,
        { ...rest, [name]: null },
        { ...rest, [name]: [removed] },
        { ...rest, [name]: {} },
      ]) {
        const outcome = await post("json", JSON.stringify(damaged));
        expectRefused(outcome, "PREHANDLER", 400);
        expect(outcome.error?.err_message).toContain(name);
      }
    }
  });

  test("W17: a JSON body that is no object is 400", async () => {
    for (const body of ["null", "[]", "1", '"text"', "true", `[${json()}]`]) await expectUnreadable("json", body);
  });

  test("messages.md: an unknown field is 400 in JSON and skipped in protobuf", async () => {
    const outcome = await post("json", json().replace("{", '{"something_new":1,'));
    expectRefused(outcome, "PREHANDLER", 400);
    expect(outcome.error?.err_message).toContain("something_new");

    const field2000 = Buffer.from("827d03616263", "hex");
    const known = await post("protobuf", protobuf());
    const withMore = await post("protobuf", Buffer.concat([protobuf(), field2000]));
    // The account may be made by the first and so exist for the second: neither is unreadable.
    for (const { error } of [known, withMore]) expect(error?.err_type).not.toBe("PREHANDLER");
  });

  test("W17: text that is not UTF-8 is 400", async () => {
    await expectUnreadable("json", Buffer.concat([Buffer.from('{"value":"'), Buffer.from([0xff]), Buffer.from('"}')]));
    await expectUnreadable("protobuf", Buffer.concat([Buffer.from([0x0a, 0x01, 0xff]), protobuf()]));
  });
});

describe("limits", () => {
  test("W11: over the limit is 429 with Retry-After, RateLimit headers and a body, per client and class", async () => {
    const limited = await startTestServer({ ENTRIES_READ_FAIR_USE_LIMITER_MAX_PER_PERIOD: "2" }, server.database);
    const { port, stop } = listen(limited);
    const read = (forwardedFor: string) =>
      sendRaw(port, "GET /api/auth/nonce-and-auth-string-params?email=a@b.c", [
        `x-forwarded-for: ${forwardedFor}`,
        "accept: application/json",
      ]);
    expect((await read("198.51.100.1")).status).toBe(200);
    expect((await read("198.51.100.1")).status).toBe(200);
    const refused = await read("198.51.100.1");

    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    expect(refused.headers.get("ratelimit")).toMatch(/^"read";r=0;t=\d+$/);
    expect(refused.headers.get("ratelimit-policy")).toBe('"read";q=2;w=30');
    expect(JSON.parse(refused.body.toString())).toMatchObject({ err_type: "PREHANDLER" });
    expect((await read("203.0.113.1")).status).toBe(200);
    const heartbeat = await sendRaw(port, "GET /api/heartbeat", ["x-forwarded-for: 198.51.100.1"]);
    expect(heartbeat.status).toBe(200);
    await stop();
    await limited.stop();
  });
});

describe("what nobody foresaw", () => {
  test("messages.md 24: an exception is 500 INTERNAL_ERROR; its cause is in the log, with the request's id, only", async () => {
    const { mailer } = server.services;
    server.services.mailer = {
      ...mailer,
      send() {
        throw new RangeError("the cause of it all");
      },
    };
    const user = newUser();
    const outcomes = await Promise.all(
      ENCODINGS.map((encoding) => {
        const own = { ...user, email: `${encoding}-${user.email}` };
        const body = encoding === "json" ? NewUser.encodeJson(own) : NewUser.encodeProtobuf(own);
        return ask("POST", "/api/user", { headers: { "content-type": MEDIA_TYPES[encoding] }, body });
      }),
    );
    server.services.mailer = mailer;
    server.services.log.flush();

    expect(outcomes.map(({ encoding }) => encoding)).toEqual([...ENCODINGS]);
    for (const { status, error, headers } of outcomes) {
      expect(status).toBe(500);
      expect(error).toEqual({ err_type: "INTERNAL_ERROR", err_message: "Internal error" });
      expect(JSON.stringify([...headers])).not.toContain("cause");
    }
    const lines = server.logLines
      .join("")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const failures = lines.filter(({ event }) => event === "request failed");
    expect(failures).toHaveLength(2);
    for (const failure of failures) {
      expect(failure).toMatchObject({ level: "error", error: "RangeError", message: "the cause of it all" });
      expect(failure.stack).toContain("pipeline.test.ts");
      const request = lines.find(({ event, request_id }) => event === "request" && request_id === failure.request_id);
      expect(request).toMatchObject({ route: "/api/user", status: 500 });
    }
  });
});
