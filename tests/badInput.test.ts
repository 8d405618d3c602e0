/**
 * Bad input, for every route and both encodings: each gets the contract's error in the encoding that was asked for, and
 * changes nothing in the database.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { routes } from "../src/app.ts";
import type { Endpoint } from "../src/http/endpoint.ts";
import { type Encoding, MEDIA_TYPES } from "../src/wire/negotiation.ts";
import { ENCODINGS } from "./support/containerCalls.ts";
import { expectUnchanged } from "./support/containerRows.ts";
import {
  addUnknownField,
  goodRequest,
  nameOf,
  type Outcome,
  type Outgoing,
  outcomeOf,
  padTo,
  type Stage,
  setStage,
  spoilField,
  TOKENS,
  tokensOf,
} from "./support/routeCases.ts";
import { startTestServer } from "./support/server.ts";

const MIB = 1024 * 1024;

let stage: Stage;
beforeAll(async () => {
  const server = await startTestServer({
    ENTRIES_PROTOBUF_MAX_SIZE_MB: "2",
    ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000",
    ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: "1000000",
  });
  stage = await setStage(server);
});
afterAll(() => stage.server.stop());

async function refused(outgoing: Outgoing, encoding: Encoding, status: number, type: string): Promise<void> {
  expect(await outcomeOf(stage, outgoing)).toEqual({ status, type, mediaType: MEDIA_TYPES[encoding] });
}

/** None of the requests changes anything. */
const unchanged = (requests: () => Promise<void>) => () => expectUnchanged(stage.server.db, requests);

const ROUTES = ENCODINGS.flatMap((encoding) => routes.map((route) => ({ name: nameOf(route), route, encoding })));

const WITH_TOKENS = ROUTES.flatMap((row) => tokensOf(row.route).map((kind) => ({ ...row, kind, token: TOKENS[kind] })));

describe.each(WITH_TOKENS)("$name in $encoding, its $kind token", ({ route, encoding, token }) => {
  async function withToken(text: string | undefined): Promise<Outgoing> {
    const outgoing = await goodRequest(stage, route, encoding);
    const { [token.header]: _, ...others } = outgoing.headers;
    return { ...outgoing, headers: text === undefined ? others : { ...others, [token.header]: text } };
  }

  test(
    "is needed: without it TOKEN_MISSING",
    unchanged(async () => {
      await refused(await withToken(undefined), encoding, 401, "TOKEN_MISSING");
    }),
  );

  test(
    "of a foreign kind is refused",
    unchanged(async () => {
      for (const [, text, type] of token.foreign(stage)) await refused(await withToken(text), encoding, 401, type);
    }),
  );

  test(
    "that has expired is TOKEN_EXPIRED",
    unchanged(async () => {
      await refused(await withToken(token.expired(stage)), encoding, 401, "TOKEN_EXPIRED");
    }),
  );

  test(
    "that was tampered with is INCORRECT_CREDENTIAL: signature, claims, length",
    unchanged(async () => {
      const good = token.good(stage);
      const decoded = Buffer.from(good, "base64url");
      const encoded = (bytes: Uint8Array) =>
        Buffer.from(bytes).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
      const lastBit = Buffer.from(decoded);
      lastBit.writeUInt8(lastBit.readUInt8(lastBit.length - 1) ^ 1, lastBit.length - 1);
      // One digit of the expiry, to a time that is still to come: "1" can only grow.
      const claims = decoded.toString("latin1").replace(/"exp":1/, '"exp":2');
      for (const text of [encoded(lastBit), encoded(Buffer.from(claims, "latin1")), good.slice(0, 10), `${good}AAAA`]) {
        await refused(await withToken(text), encoding, 401, "INCORRECT_CREDENTIAL");
      }
    }),
  );
});

const WITH_BODY = ROUTES.flatMap(({ route, ...row }) => {
  const message = route.spec.request;
  return message ? [{ ...row, route, message }] : [];
});

/** W16: 1 MiB, but 4 MiB for a sign-up; a container with many categories may have the operator's limit, here 2 MiB. */
function limitOf(route: Endpoint): number {
  if (nameOf(route) === "POST /api/container") return 2 * MIB;
  return nameOf(route) === "POST /api/user" ? 4 * MIB : MIB;
}

describe.each(WITH_BODY)("$name in $encoding, its body", ({ route, encoding, message }) => {
  const good = () => goodRequest(stage, route, encoding) as Promise<Outgoing & { body: Uint8Array<ArrayBuffer> }>;
  const unreadable = (outgoing: Outgoing) => refused(outgoing, encoding, 400, "PREHANDLER");
  const fieldNames = Object.keys(message.fields);
  const requiredNames = fieldNames.filter((name) => message.fields[name]?.presence === "required");

  test(
    "that is missing, or has no or another Content-Type, is 400 PREHANDLER (W17)",
    unchanged(async () => {
      const { headers, body, ...outgoing } = await good();
      const { "content-type": contentType = "", ...bare } = headers;
      await unreadable({ ...outgoing, headers: bare });
      await unreadable({ ...outgoing, headers: { ...bare, "content-type": "" }, body });
      for (const other of ["text/plain", "application/octet-stream", `${contentType}x`, `x, ${contentType}`]) {
        await unreadable({ ...outgoing, headers: { ...headers, "content-type": other }, body });
      }
      if (encoding === "json" || requiredNames.length > 0) await unreadable({ ...outgoing, headers });
    }),
  );

  test(
    "that is truncated, at any of 25 places, is 400 PREHANDLER or lacks a field",
    unchanged(async () => {
      const { body, ...outgoing } = await good();
      for (let left = 1; left <= 25 && left < body.length; left++) {
        const cut = body.subarray(0, body.length - left);
        const isWhole = encoding === "protobuf" && isReadable(() => message.decodeProtobuf(cut));
        if (!isWhole) await unreadable({ ...outgoing, body: cut });
      }
      await unreadable({ ...outgoing, body: body.subarray(0, body.length - 1) });
    }),
  );

  test.each(fieldNames)("whose field %s has a wrong type is 400 PREHANDLER (W17)", (name) =>
    expectUnchanged(stage.server.db, async () => {
      const { body, ...outgoing } = await good();
      await unreadable({ ...outgoing, body: spoilField(body, message, name, "wrong type", encoding) });
      if (encoding === "json") {
        const withNull = { ...JSON.parse(Buffer.from(body).toString()), [name]: null };
        await unreadable({ ...outgoing, body: Buffer.from(JSON.stringify(withNull)) });
      }
    }),
  );

  if (requiredNames.length > 0) {
    test.each(requiredNames)("without its field %s is 400 PREHANDLER (W1)", (name) =>
      expectUnchanged(stage.server.db, async () => {
        const { body, ...outgoing } = await good();
        await unreadable({ ...outgoing, body: spoilField(body, message, name, "leave out", encoding) });
      }),
    );
  }

  test("of exactly the limit is taken, one byte more is 413 PREHANDLER, its length declared or not (W16)", async () => {
    const expected = await outcomeOf(stage, await good());
    expect(expected.type).not.toBe("PREHANDLER");
    for (const isDeclared of [true, false]) {
      const sized = async (bytes: number): Promise<Outgoing> => {
        const { body, headers, ...outgoing } = await good();
        if (isDeclared) headers["content-length"] = String(bytes);
        return { ...outgoing, headers, body: padTo(body, bytes, encoding) };
      };
      expect(await outcomeOf(stage, await sized(limitOf(route)))).toEqual(expected);
      const tooLarge = await sized(limitOf(route) + 1);
      await expectUnchanged(stage.server.db, () => refused(tooLarge, encoding, 413, "PREHANDLER"));
    }
  });

  test("with an unknown field is 400 PREHANDLER in JSON; in protobuf the field is skipped (W13)", async () => {
    const { body, ...outgoing } = await good();
    const more = { ...outgoing, body: addUnknownField(body, encoding) };
    if (encoding === "json") {
      await expectUnchanged(stage.server.db, () => unreadable(more));
      return;
    }
    const clean: Outcome = await outcomeOf(stage, await good());
    expect(await outcomeOf(stage, more)).toEqual(clean);
    expect(clean.type).not.toBe("PREHANDLER");
  });

  test(
    "that is no message at all is 400 PREHANDLER",
    unchanged(async () => {
      const { body: _, ...outgoing } = await good();
      const texts = encoding === "json" ? ["[]", "null", '"text"', "1", "{", "{}}", "{'a':1}"] : [];
      const bytes = [[0xff], [0x07], [0x00], [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], [0x0b], [0xc3, 0x28]];
      for (const body of [...texts.map((text) => Buffer.from(text)), ...bytes.map((list) => Buffer.from(list))]) {
        await unreadable({ ...outgoing, body });
      }
    }),
  );
});

function isReadable(decode: () => unknown): boolean {
  try {
    decode();
    return true;
  } catch {
    return false;
  }
}

describe.each(ROUTES)("$name in $encoding", ({ route, encoding }) => {
  test(
    "with a method that no route has here is 405 PREHANDLER with Allow (W18)",
    unchanged(async () => {
      const outgoing = await goodRequest(stage, route, encoding);
      await refused({ ...outgoing, method: "PATCH" }, encoding, 405, "PREHANDLER");
      const { url, ...init } = { ...outgoing, method: "PATCH" };
      const response = await stage.server.app.handle(new Request(url, init));
      expect(response.headers.get("allow")?.split(", ")).toContain(route.spec.method);
    }),
  );

  test(
    "with more behind its path is 404 PREHANDLER",
    unchanged(async () => {
      const outgoing = await goodRequest(stage, route, encoding);
      const [path = "", query] = outgoing.url.split("?");
      for (const url of [`${path}/`, `${path}x`, `${path}/x`, path.toUpperCase()]) {
        await refused({ ...outgoing, url: query ? `${url}?${query}` : url }, encoding, 404, "PREHANDLER");
      }
    }),
  );
});
