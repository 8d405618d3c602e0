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
  PAGE_TYPE,
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

/** W16: what the message needs, at least 1 MiB; large ones may have the operator's limit, here 2 MiB. */
const LIMITS: Record<string, number> = {
  "POST /api/user": 4 * MIB,
  "POST /api/container": 2 * MIB,
  "POST /api/container/bulk-upload": 2 * MIB,
  "POST /api/container/upload": 2 * MIB,
  "PUT /api/container/rekey": 2 * MIB,
  "DELETE /api/user": 2 * MIB,
  "PUT /api/user/keystore": 2 * MIB,
  "PUT /api/user/account-key": 2 * MIB,
  "PUT /api/user/preferences": MIB + Math.ceil((32 * 1024 * 4) / 3),
};
const limitOf = (route: Endpoint): number => LIMITS[nameOf(route)] ?? MIB;

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
      const form = "application/x-www-form-urlencoded";
      for (const other of ["text/plain", form, "application/octet-stream", `${contentType}x`, `x, ${contentType}`]) {
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

const FORMS = routes
  .filter(({ spec }) => spec.answers === "page" && spec.method === "POST")
  .map((route) => ({ name: nameOf(route), route }));

describe.each(FORMS)("$name, its form", ({ route }) => {
  const KIB = 1024;
  const formType = "application/x-www-form-urlencoded";
  type Form = Outgoing & { body: Uint8Array<ArrayBuffer> };
  const good = () => goodRequest(stage, route, "protobuf") as Promise<Form>;
  const refusedByPage = async (outgoing: Outgoing, status: number, heading: string) =>
    expect(await outcomeOf(stage, outgoing)).toEqual({ status, type: heading, mediaType: PAGE_TYPE });

  test(
    "that is missing, or has no or another Content-Type, is a page with 400",
    unchanged(async () => {
      const { headers, body, ...outgoing } = await good();
      const { "content-type": _, ...bare } = headers;
      await refusedByPage({ ...outgoing, headers: bare }, 400, "This did not work");
      await refusedByPage({ ...outgoing, headers }, 400, "This did not work");
      for (const type of ["", "text/plain", ...Object.values(MEDIA_TYPES), "multipart/form-data", `${formType}x`]) {
        await refusedByPage(
          { ...outgoing, body, headers: { ...bare, "content-type": type } },
          400,
          "This did not work",
        );
      }
    }),
  );

  test(
    "whose field token is missing or there twice is a page with 400",
    unchanged(async () => {
      const { body, ...outgoing } = await good();
      const text = Buffer.from(body).toString();
      for (const spoilt of [
        "",
        "token",
        `${text}&${text}`,
        `${text}&token=`,
        text.replace("token", "Token"),
        "=&&=;%",
      ]) {
        // A token without a value is there, but is no token.
        const heading = spoilt === "token" ? "This link is not valid" : "This did not work";
        await refusedByPage({ ...outgoing, body: Buffer.from(spoilt) }, 400, heading);
      }
    }),
  );

  test(
    "whose token is of another kind, tampered with or cut off is a page with 400",
    unchanged(async () => {
      const { body, ...outgoing } = await good();
      const token = new URLSearchParams(Buffer.from(body).toString()).get("token") ?? "";
      const foreign = (["user", "signIn", "refresh", "container"] as const).map((kind) => TOKENS[kind].good(stage));
      for (const spoilt of [...foreign, `${token}A`, token.slice(0, -4), token.slice(4), "\0", "\u{1f600}"]) {
        const form = Buffer.from(new URLSearchParams({ token: spoilt }).toString());
        await refusedByPage({ ...outgoing, body: form }, 400, "This link is not valid");
      }
    }),
  );

  test("of 16 KiB is taken, one byte more is a page with 413, its length declared or not", async () => {
    const { body, headers, ...outgoing } = await good();
    const sized = (bytes: number) => Buffer.concat([body, Buffer.from("&more="), Buffer.alloc(bytes, "x")], bytes);
    for (const length of ["declared", "not declared"]) {
      const send = (bytes: number) => ({
        ...outgoing,
        headers: { ...headers, ...(length === "declared" && { "content-length": String(bytes) }) },
        body: sized(bytes),
      });
      await expectUnchanged(stage.server.db, () => refusedByPage(send(16 * KIB + 1), 413, "That is too much"));
      const taken = await outcomeOf(stage, send(16 * KIB));
      expect(taken.type ?? "success").not.toMatch(/too much|did not work|not valid/);
    }
  });
});

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
      const inCapitals = new URL(path);
      inCapitals.pathname = inCapitals.pathname.toUpperCase();
      const others = [`${path}/`, `${path}x`, `${path}/x`, inCapitals.href];
      for (const url of others.filter((other) => other !== path)) {
        await refused({ ...outgoing, url: query ? `${url}?${query}` : url }, encoding, 404, "PREHANDLER");
      }
    }),
  );
});
