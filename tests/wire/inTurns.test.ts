/** Large bodies are read in turns with other requests: to the same values, with the same refusals. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  BulkUploadContainer,
  BulkUploadContainerList,
  ContainerAccessTokenList,
  ContainerRekey,
} from "../../src/container/messages.ts";
import { ApiError } from "../../src/errors.ts";
import { MESSAGES } from "../../src/messages.ts";
import type { Message } from "../../src/wire/message.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { Turns } from "../../src/wire/turns.ts";
import { newCategory, newEntry, newUpload } from "../support/uploadCalls.ts";
import { anyValueOf, fullValueOf, type Values } from "./samples.ts";

const TIMEOUT_MS = 30_000;
const messages = MESSAGES as readonly Message<Values>[];
const LONG_REQUESTS = ["BulkUploadContainerList", "ContainerRekey", "ContainerAccessTokenList"];
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

const bodyOf = (message: Message<Values>, encoding: Encoding, value: Values): Uint8Array =>
  encoding === "json" ? utf8(message.encodeJson(value)) : message.encodeProtobuf(value);

/** A turn that is over at once, so that everything is interrupted that can be. */
const shortTurns = () => new Turns(undefined, 0);

/** What reading comes to: the value, or how it was refused. */
async function outcomeOf(read: () => unknown): Promise<unknown> {
  try {
    return { value: await read() };
  } catch (error) {
    if (error instanceof ApiError) return { status: error.status, type: error.type, message: error.message };
    throw error;
  }
}

async function bothOutcomes(message: Message<Values>, encoding: Encoding, body: Uint8Array) {
  const inOneGo = await outcomeOf(() =>
    encoding === "json" ? message.decodeJson(body) : message.decodeProtobuf(body),
  );
  const inTurns = await outcomeOf(() => message.decodeInTurns(encoding, body, shortTurns()));
  return { inOneGo, inTurns };
}

/** Of a damaged body: the same value, or refused both times. JSON may give another of several reasons. */
async function expectSame(message: Message<Values>, encoding: Encoding, body: Uint8Array): Promise<void> {
  const { inOneGo, inTurns } = await bothOutcomes(message, encoding, body);
  const isSame =
    encoding === "protobuf" || "value" in (inOneGo as object)
      ? Bun.deepEquals(inTurns, inOneGo, true)
      : (inTurns as { status?: number }).status === 400;
  if (!isSame) throw new Error(`${message.name} of ${body.toHex()}: ${Bun.inspect({ inOneGo, inTurns })}`);
}

describe.each(["protobuf", "json"] as const)("in turns, %s", (encoding) => {
  test(
    "any value of every message is read as it was sent",
    async () => {
      for (const message of messages) {
        for (const value of fc.sample(anyValueOf(message), 25)) {
          const body = bodyOf(message, encoding, value);
          const { inOneGo, inTurns } = await bothOutcomes(message, encoding, body);
          expect(inTurns).toStrictEqual(inOneGo);
          expect(inTurns).toHaveProperty("value");
        }
      }
    },
    TIMEOUT_MS,
  );

  test(
    "W17: a body cut off anywhere is refused, or read, as in one go",
    async () => {
      for (const message of messages) {
        const body = bodyOf(message, encoding, fullValueOf(message));
        for (let length = 0; length < body.length; length++) await expectSame(message, encoding, body.slice(0, length));
      }
    },
    TIMEOUT_MS,
  );

  test(
    "W17: a body with any single bit flipped is refused, or read, as in one go",
    async () => {
      for (const message of messages.filter(({ name }) => LONG_REQUESTS.includes(name))) {
        const body = bodyOf(message, encoding, fullValueOf(message));
        for (let bit = 0; bit < body.length * 8; bit++) {
          const damaged = body.slice();
          damaged[bit >> 3] = (body[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          await expectSame(message, encoding, damaged);
        }
      }
    },
    TIMEOUT_MS,
  );

  test("W17: random bytes are refused, or read, as in one go", async () => {
    const bodies = fc.sample(fc.uint8Array({ maxLength: 60 }), 1000);
    for (const body of bodies) {
      await expectSame(BulkUploadContainerList as Message<Values>, encoding, body);
      await expectSame(ContainerAccessTokenList as Message<Values>, encoding, body);
    }
  });

  test("one element more than allowed is TOO_MANY_REQUESTED, the rest of the body unread", async () => {
    const value = { containers: [newUpload().container, newUpload().container] };
    const body = bodyOf(BulkUploadContainerList as Message<Values>, encoding, value);
    const read = (max: number, from = body) => BulkUploadContainerList.decodeInTurns(encoding, from, new Turns(max));
    expect(await read(1000)).toEqual(value);
    const refusal = { status: 418, type: "TOO_MANY_REQUESTED" };
    expect(await outcomeOf(() => read(5))).toMatchObject(refusal);
    expect(await outcomeOf(() => read(3, Buffer.concat([body.slice(0, -9), Buffer.from([0xff])])))).toMatchObject(
      refusal,
    );
  });
});

describe("JSON in turns", () => {
  const ID = "018f3c5e-7a00-7000-8000-0123456789ab";
  const list = BulkUploadContainerList as Message<Values>;
  const container = BulkUploadContainer.encodeJson(newUpload({ categories: [], entries: [newEntry(1)] }).container);

  test.each<[what: string, text: string]>([
    ["white space everywhere", ` \n{\t"containers" : [ ${container} ,\r\n ${container} ] } \n`],
    ["a byte order mark in front", `\ufeff{"containers":[${container}]}`],
    ["an escaped name", `{"c\\u006fntainers":[${container}]}`],
    ["no member", "{}"],
    ["an empty list", '{"containers":[]}'],
    ["a list given twice, of which the last counts", `{"containers":[${container}],"containers":[]}`],
    ["quotes and backslashes in a string", `{"containers":[${container.replace('"entries"', '"\\u0065ntries"')}]}`],
  ])("reads %s", async (_what, text) => {
    const { inOneGo, inTurns } = await bothOutcomes(list, "json", utf8(text));
    expect(inOneGo).toHaveProperty("value");
    expect(inTurns).toStrictEqual(inOneGo);
  });

  test.each<[what: string, text: string]>([
    ["nothing", ""],
    ["white space alone", "  "],
    ["an array", `[${container}]`],
    ["a word", "null"],
    ["a byte order mark within", `{"containers":[\ufeff${container}]}`],
    ["a comma too many in the list", `{"containers":[${container},]}`],
    ["a comma too many in the object", `{"containers":[${container}],}`],
    ["a comma in front", `{"containers":[,${container}]}`],
    ["no comma", `{"containers":[${container} ${container}]}`],
    ["no colon", `{"containers" [${container}]}`],
    ["a name without quotes", `{containers:[${container}]}`],
    ["brackets that do not match", `{"containers":[${container.replace('"entries":[', '"entries":[{]')}`],
    ["a bracket of the other kind", `{"containers":[${container}}]`],
    ["more behind the end", `{"containers":[${container}]} x`],
    ["a second object behind", `{"containers":[]}{}`],
    ["a string without end", `{"containers":[{"encrypted_blob":"AAAA`],
    ["a list that is none", '{"containers":{}}'],
    ["null for a list", '{"containers":null}'],
    ["null for an element", '{"containers":[null]}'],
    ["an unknown member", `{"containers":[],"more":1}`],
    ["an inherited member", `{"containers":[],"__proto__":{}}`],
    ["an unknown member of an element", `{"containers":[${container.replace("{", '{"more":1,')}]}`],
    ["a missing member of an element", `{"containers":[${container.replace(/"version_nonce":"6",/, "")}]}`],
    ["a wrong type deep inside", `{"containers":[${container.replace('"temp_id":1', '"temp_id":"1"')}]}`],
  ])("refuses %s", async (_what, text) => {
    const { inOneGo, inTurns } = await bothOutcomes(list, "json", utf8(text));
    expect(inOneGo).toMatchObject({ status: 400, type: "PREHANDLER" });
    expect(inTurns).toMatchObject({ status: 400, type: "PREHANDLER" });
  });

  test("W17: bytes that are no UTF-8 are refused, wherever they are", async () => {
    const text = Buffer.from(`{"containers":[${container}]}`);
    for (let at = 0; at < text.length; at++) {
      const body = Uint8Array.from(text);
      body[at] = 0xff;
      const { inTurns } = await bothOutcomes(list, "json", body);
      expect(inTurns).toMatchObject({ status: 400, type: "PREHANDLER" });
    }
  });

  test("a refusal names the place as reading in one go does", async () => {
    const broken = container.replace('"entries":[', '"entries":[{"temp_id":2,"encrypted_blob":""},');
    const { inOneGo, inTurns } = await bothOutcomes(list, "json", utf8(`{"containers":[${container},${broken}]}`));
    expect(inTurns).toEqual(inOneGo);
    expect(inTurns).toMatchObject({
      message: "BulkUploadContainerList cannot be read: containers[1].entries[0].version_nonce is missing.",
    });
  });

  test("W17: a UUID that is none deep inside is INVALID_MESSAGE", async () => {
    const item = (id: string) =>
      `{"id":"${id}","encrypted_blob":"","version_nonce":"1","expected_previous_version_nonce":"1"}`;
    const blob = '{"encrypted_blob":"","version_nonce":"1","expected_previous_version_nonce":"1"}';
    const text = (id: string) => `{"container":${blob},"entries":[${item(ID)},${item(id)}]}`;
    const rekey = ContainerRekey as Message<Values>;
    expect((await bothOutcomes(rekey, "json", utf8(text(ID)))).inTurns).toHaveProperty("value");
    const { inOneGo, inTurns } = await bothOutcomes(rekey, "json", utf8(text("x")));
    expect(inTurns).toEqual(inOneGo);
    expect(inTurns).toMatchObject({ type: "INVALID_MESSAGE" });
  });
});

describe("while a large body is read, others have their turn", () => {
  /** The longest time, in milliseconds, in which nothing else could run. */
  async function longestWait(work: () => Promise<unknown>): Promise<number> {
    let isDone = false;
    let longest = 0;
    const watch = async () => {
      for (let last = performance.now(); !isDone; ) {
        await new Promise((resolve) => setImmediate(resolve));
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }
    };
    const watching = watch();
    await outcomeOf(work);
    isDone = true;
    await watching;
    return longest;
  }

  const MB = 1e6;
  const repeated = (piece: string, bytes: number) => piece.repeat(Math.ceil(bytes / piece.length));
  const ordinary = (() => {
    const entry = newEntry(1, { encrypted_blob: Buffer.alloc(1024, 7) });
    const { container } = newUpload({
      categories: [newCategory(1)],
      entries: Array.from({ length: 3000 }, () => entry),
    });
    return { containers: Array.from({ length: 10 }, () => container) };
  })();
  const tinyEntry = '{"temp_id":1,"encrypted_blob":"","version_nonce":"1"}';
  const upload = (entries: string) =>
    `{"containers":[{"encrypted_blob":"","version_nonce":"1","user_public_container_key":"","entries":[${entries}]}]}`;

  /** Read in one go, the long ones would take a second and more. */
  const LONGEST_MS = 250;

  test.each<[what: string, encoding: Encoding, body: () => Uint8Array]>([
    ["of 30 MB with entries of 1 KB", "protobuf", () => BulkUploadContainerList.encodeProtobuf(ordinary)],
    ["of 40 MB with entries of 1 KB", "json", () => utf8(BulkUploadContainerList.encodeJson(ordinary))],
    ["with a million tiny entries", "json", () => utf8(upload(repeated(`${tinyEntry},`, 50 * MB) + tinyEntry))],
    ["of brackets", "json", () => utf8(upload(repeated("[", 50 * MB)))],
    ["of blanks", "json", () => utf8(upload(repeated(" ", 50 * MB)))],
    ["of numbers in one field", "json", () => utf8(upload(`{"temp_id":[${repeated("1,", 50 * MB)}1]}`))],
    ["of escaped quotes", "json", () => utf8(upload(`{"temp_id":"${repeated('\\"', 50 * MB)}"}`))],
    ["of small objects", "json", () => utf8(upload(repeated("{},", 50 * MB)))],
    ["of one member, repeated", "json", () => utf8(`{${repeated('"containers":[],', 50 * MB)}"containers":[]}`)],
    [
      "with a million tiny entries",
      "protobuf",
      () => {
        const [entry, count] = [Uint8Array.of(0x22, 6, 8, 1, 0x12, 0, 0x18, 1), 1_500_000];
        const inner = Buffer.concat([Uint8Array.of(0x0a, 0, 0x10, 1, 0x2a, 0), ...new Array(count).fill(entry)]);
        const length = [
          inner.length & 0x7f,
          (inner.length >> 7) & 0x7f,
          (inner.length >> 14) & 0x7f,
          inner.length >> 21,
        ];
        return Buffer.concat([
          Uint8Array.of(0x0a, ...length.map((byte, index) => (index < 3 ? byte | 0x80 : byte))),
          inner,
        ]);
      },
    ],
  ])(
    "a body %s, %s",
    async (_what, encoding, make) => {
      const body = make();
      const startedAt = performance.now();
      const wait = await longestWait(() => BulkUploadContainerList.decodeInTurns(encoding, body, new Turns(2_000_000)));
      // On a busy machine everything takes longer, waiting too.
      const share = (performance.now() - startedAt) / 3;
      expect(wait).toBeLessThan(Math.max(LONGEST_MS, share));
    },
    TIMEOUT_MS,
  );
});
