import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ApiError } from "../../src/errors.ts";
import { MESSAGES } from "../../src/messages.ts";
import type { Message } from "../../src/wire/message.ts";
import { anyValueOf, fullValueOf, type Values } from "./samples.ts";

const TIMEOUT_MS = 30_000;

type Outcome = "decoded" | "refused";

/**
 * Decodes a damaged body.
 * @throws Error unless the body is refused as the contract says, or is a message that can be sent on unchanged
 */
function outcomeOf(message: Message<Values>, encoding: "protobuf" | "json", body: Uint8Array): Outcome {
  const isProtobuf = encoding === "protobuf";
  const decode = (from: Uint8Array) => (isProtobuf ? message.decodeProtobuf(from) : message.decodeJson(from));
  let value: Values;
  try {
    value = decode(body);
  } catch (error) {
    const isRefusal = error instanceof ApiError && error.status === 400;
    if (isRefusal && (error.type === "PREHANDLER" || error.type === "INVALID_MESSAGE")) return "refused";
    throw new Error(`${message.name} of ${body.toHex()}`, { cause: error });
  }
  const again = isProtobuf ? message.encodeProtobuf(value) : Buffer.from(message.encodeJson(value));
  if (!Bun.deepEquals(decode(again), value, true)) throw new Error(`${message.name} of ${body.toHex()} changes`);
  return "decoded";
}

function bodiesOf(message: Message<Values>): { encoding: "protobuf" | "json"; body: Uint8Array }[] {
  const value = fullValueOf(message);
  return [
    { encoding: "protobuf", body: message.encodeProtobuf(value) },
    { encoding: "json", body: new TextEncoder().encode(message.encodeJson(value)) },
  ];
}

const messages = MESSAGES as readonly Message<Values>[];

describe("W17: a damaged body is decoded or refused with 400, nothing else", () => {
  test(
    "cut off at every byte",
    () => {
      for (const message of messages) {
        for (const { encoding, body } of bodiesOf(message)) {
          for (let length = 0; length < body.length; length++) {
            const outcome = outcomeOf(message, encoding, body.subarray(0, length));
            if (encoding === "json") expect(outcome).toBe("refused");
          }
          expect(outcomeOf(message, encoding, body)).toBe("decoded");
        }
      }
    },
    TIMEOUT_MS,
  );

  test(
    "with every single bit flipped",
    () => {
      const counts = { decoded: 0, refused: 0 };
      for (const message of messages) {
        for (const { encoding, body } of bodiesOf(message)) {
          for (let bit = 0; bit < body.length * 8; bit++) {
            const damaged = body.slice();
            damaged[bit >> 3] = (body[bit >> 3] ?? 0) ^ (1 << (bit & 7));
            counts[outcomeOf(message, encoding, damaged)]++;
          }
        }
      }
      expect(counts.decoded).toBeGreaterThan(1_000);
      expect(counts.refused).toBeGreaterThan(1_000);
    },
    TIMEOUT_MS,
  );

  test("with a slice of another message in the middle", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...messages),
        fc.constantFrom(...messages),
        fc.nat(),
        fc.nat(),
        (to, from, at, cut) => {
          const host = to.encodeProtobuf(fullValueOf(to));
          const guest = from.encodeProtobuf(fullValueOf(from));
          const place = at % (host.length + 1);
          const slice = guest.subarray(cut % guest.length);
          const body = Buffer.concat([host.subarray(0, place), slice, host.subarray(place)]);
          outcomeOf(to, "protobuf", body);
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test("made of random bytes", () => {
    fc.assert(
      fc.property(fc.constantFrom(...messages), fc.uint8Array({ maxLength: 60 }), (message, body) => {
        outcomeOf(message, "protobuf", body);
        outcomeOf(message, "json", body);
      }),
      { numRuns: 5_000 },
    );
  });

  test("made of any JSON", () => {
    fc.assert(
      fc.property(fc.constantFrom(...messages), fc.json(), (message, text) => {
        outcomeOf(message, "json", new TextEncoder().encode(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test("with any one JSON value replaced by another, and the refusal says which field it is about", () => {
    const replacements = fc.oneof(fc.jsonValue(), fc.constantFrom(null, -0, 2 ** 53, 1.5, "", "x", [], {}, [null]));
    const pairs = fc.constantFrom(...messages).chain((message) => fc.tuple(fc.constant(message), anyValueOf(message)));
    fc.assert(
      fc.property(pairs, replacements, fc.nat(), ([message, value], replacement, pick) => {
        const json = JSON.parse(message.encodeJson(value)) as Values;
        const names = Object.keys(message.fields);
        const name = names[pick % names.length] ?? "";
        const body = JSON.stringify({ ...json, [name]: replacement });
        const refusal = refusalOf(() => message.decodeJson(body));
        if (refusal !== undefined) expect(refusal.message).toStartWith(`${message.name} cannot be read: ${name}`);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe("W17: an oversized structure is refused quickly and without a crash", () => {
  const tokens = messages.find(({ name }) => name === "ContainerAccessTokenList") as Message<Values>;
  const upload = messages.find(({ name }) => name === "BulkUploadContainerList") as Message<Values>;
  const DEPTH = 1_000_000;
  /** Field 100 as the start of a group. */
  const GROUP_START = [0xa3, 0x06];

  test("JSON nested a million levels deep", () => {
    expect(outcomeOf(tokens, "json", Buffer.from("[".repeat(DEPTH)))).toBe("refused");
    expect(outcomeOf(tokens, "json", Buffer.from(`{"tokens":${"[".repeat(DEPTH)}${"]".repeat(DEPTH)}}`))).toBe(
      "refused",
    );
  });

  test("protobuf groups nested a million levels deep", () => {
    const body = new Uint8Array(DEPTH * 2).map((_, index) => GROUP_START[index % 2] ?? 0);
    expect(outcomeOf(tokens, "protobuf", body)).toBe("refused");
  });

  test("a number of ten million digits", () => {
    const digits = "9".repeat(10_000_000);
    const item = `"encrypted_blob":"","user_public_container_key":""`;
    for (const nonce of [digits, `"${digits}"`]) {
      const body = Buffer.from(`{"containers":[{${item},"version_nonce":${nonce}}]}`);
      expect(outcomeOf(upload, "json", body)).toBe("refused");
    }
  });

  test("half a million list elements of which every one is wrong", () => {
    const body = `{"containers":[${"{},".repeat(500_000)}{}]}`;
    const refusal = refusalOf(() => upload.decodeJson(body));
    expect(refusal?.message).toBe("BulkUploadContainerList cannot be read: containers[0].encrypted_blob is missing.");
  });
});

function refusalOf(decode: () => unknown): ApiError | undefined {
  try {
    decode();
    return undefined;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
}
