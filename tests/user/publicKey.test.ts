/** GET and PUT /api/user/public-key (accounts.md 8.2, 8.3; decisions A6, C5). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPublicKey, generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { NewUserPublicKey, UserPublicKey } from "../../src/user/messages.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { countByStatus, granted } from "../support/accounts.ts";
import { comparableHeaders, type Device } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError, speaking } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { watchStatements } from "../support/statements.ts";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let server: TestServer;
let ann: Awaited<ReturnType<TestServer["signUp"]>>;
beforeAll(async () => {
  server = await startTestServer();
  ann = await server.signUp();
});
afterAll(() => server.stop());

const path = (email: string) => `/api/user/public-key?email=${encodeURIComponent(email)}`;
const get = (device: Device, email: string) =>
  device.client.call("GET", path(email), { response: UserPublicKey, headers: device.headers() });
const put = (device: Device, key: NewUserPublicKey) =>
  device.client.call("PUT", "/api/user/public-key", { request: [NewUserPublicKey, key], headers: device.headers() });
const nobody = () => `ann-${randomBytes(6).toString("hex")}@example.com`;
const plain = ({ id, value }: UserPublicKey) => ({ id, value: Buffer.from(value).toString("hex") });
const rsaKey = (bits = 2048): Uint8Array =>
  generateKeyPairSync("rsa", { modulusLength: bits }).publicKey.export({ format: "der", type: "spki" });

async function storedKeyOf({ user }: { user: { email: string } }): Promise<{ id: string; value: string }> {
  const [row] = await server.db`select public_key_id, public_key from users where email = ${user.email}`;
  return { id: row?.public_key_id, value: row?.public_key?.toString("hex") };
}

describe.each([...ENCODINGS])("GET user/public-key, in %s", (encoding) => {
  test("8.2: gives the key and id of an account, verified or not", async () => {
    const device = speaking(encoding, ann, server);
    const ben = await server.signUp();
    expect(plain(granted(await get(device, ben.user.email)))).toEqual(await storedKeyOf(ben));
    await server.db`update users set verification_deadline = now() where email = ${ben.user.email}`;
    expect(plain(granted(await get(device, ben.user.email)))).toEqual(await storedKeyOf(ben));
  });

  test("W10: letter case does not count", async () => {
    const device = speaking(encoding, ann, server);
    expect(plain(granted(await get(device, ann.user.email.toUpperCase())))).toEqual(await storedKeyOf(ann));
    const unknown = nobody();
    expect(granted(await get(device, unknown.toUpperCase()))).toEqual(granted(await get(device, unknown)));
  });

  test("A6, S3: an unknown address has an RSA-3072 key with a v7-shaped id, always the same", async () => {
    const device = speaking(encoding, ann, server);
    const unknown = nobody();
    const key = granted(await get(device, unknown));
    expect(key.id).toMatch(UUID_V7);
    const imported = createPublicKey({ key: Buffer.from(key.value), format: "der", type: "spki" });
    expect(imported.asymmetricKeyType).toBe("rsa");
    expect(imported.asymmetricKeyDetails).toEqual({ modulusLength: 3072, publicExponent: 65537n });

    server.clock.aheadMs += 86_400_000 * 3;
    const later = await server.signUp();
    expect(granted(await get(later, unknown))).toEqual(key);
    expect(granted(await get(later, nobody()))).not.toEqual(key);
    server.clock.aheadMs = 0;
  });

  test("A6, S3: status and headers are those of a known address", async () => {
    const answers = await Promise.all(
      [ann.user.email, nobody()].map(async (email) => {
        const { status, headers } = await get(speaking(encoding, ann, server), email);
        return { status, headers: comparableHeaders(headers) };
      }),
    );
    expect(answers[1]).toEqual(answers[0] as (typeof answers)[0]);
  });

  test.each([
    ["empty", ""],
    ["no address", "x"],
    ["with a zero byte", "a\0b@example.com"],
    ["not ASCII", "ä@example.com\u{1f600}"],
    ["SQL", "' or 1=1 --"],
    ["long", "x".repeat(5000)],
  ])("8.2: the address is not validated: %s gets a phony key", async (_what, text) => {
    const key = granted(await get(speaking(encoding, ann, server), text));
    expect(key.id).toMatch(UUID_V7);
    expect(key.value).toHaveLength(422);
  });

  test("1.3: without the parameter, or with two, 400 PREHANDLER", async () => {
    const headers = ann.headers();
    for (const query of ["", "?mail=a", "?email=a&email=a"]) {
      expectError(await server.client(encoding).call("GET", `/api/user/public-key${query}`, { headers }), "PREHANDLER");
    }
  });
});

describe("GET user/public-key", () => {
  test("8.2: it needs an access token; of an account that is gone it is TOKEN_EXPIRED", async () => {
    expectError(await server.client().call("GET", path(ann.user.email)), "TOKEN_MISSING");
    const gone = await server.signUp();
    await server.db`delete from users where email = ${gone.user.email}`;
    expectError(await get(gone, ann.user.email), "TOKEN_EXPIRED");
    expectError(await get(gone, nobody()), "TOKEN_EXPIRED");
  });

  test("A6: the key of an address that gets an account, and loses it, is the phony one again", async () => {
    const ben = await server.signUp();
    await server.db`delete from users where email = ${ben.user.email}`;
    const first = granted(await get(ann, ben.user.email));
    expect(plain(first)).not.toEqual({
      id: ben.user.public_key_id,
      value: Buffer.from(ben.user.public_key).toString("hex"),
    });
    expect(granted(await get(ann, ben.user.email))).toEqual(first);
  });

  test("it is one statement, and so is a change", async () => {
    const watched = watchStatements(server.database);
    const counted = await startTestServer({}, watched.database);
    const device = await counted.signUp();
    watched.take();
    for (const email of [device.user.email, nobody()]) {
      await get(device, email);
      expect(watched.take()).toHaveLength(1);
    }
    const { public_key_id: expected_previous_public_key_id, public_key: value } = device.user;
    for (let attempt = 0; attempt < 2; attempt++) {
      await put(device, { id: randomUUID(), value, expected_previous_public_key_id });
      expect(watched.take()).toHaveLength(1);
    }
    await counted.stop();
  });
});

/** A key that replaces the account's present one. */
function next(device: typeof ann, overrides: Partial<NewUserPublicKey> = {}): NewUserPublicKey {
  const { public_key_id, public_key } = device.user;
  return { id: Bun.randomUUIDv7(), value: public_key, expected_previous_public_key_id: public_key_id, ...overrides };
}

describe.each([...ENCODINGS])("PUT user/public-key, in %s", (encoding) => {
  const signUp = async (): Promise<typeof ann> => server.signUp(undefined, encoding);
  const unchanged = async (device: typeof ann, key: NewUserPublicKey, type: Parameters<typeof expectError>[1]) => {
    const before = await storedKeyOf(device);
    expectError(await put(device, key), type);
    expect(await storedKeyOf(device)).toEqual(before);
  };

  test("8.3: with the right expected id both id and value change, and others get the new ones", async () => {
    const device = await signUp();
    const key = next(device, { value: rsaKey(3072) });
    expectEmptyOk(await put(device, key));
    expect(await storedKeyOf(device)).toEqual(plain(key));
    expect(plain(granted(await get(ann, device.user.email)))).toEqual(plain(key));
  });

  test("8.3: with a wrong expected id it is OUT_OF_DATE and nothing changes", async () => {
    const device = await signUp();
    await unchanged(device, next(device, { expected_previous_public_key_id: randomUUID() }), "OUT_OF_DATE");
    // Another user's id is as wrong as any.
    await unchanged(device, next(device, { expected_previous_public_key_id: ann.user.public_key_id }), "OUT_OF_DATE");
  });

  test("8.3, W8: over 4096 bytes it is 413, before anything else is looked at", async () => {
    const device = await signUp();
    const tooLarge = { value: randomBytes(4097), expected_previous_public_key_id: randomUUID() };
    await unchanged(device, next(device, tooLarge), "INPUT_TOO_LARGE");
    const atLimit = { value: randomBytes(4096), expected_previous_public_key_id: randomUUID() };
    await unchanged(device, next(device, atLimit), "INCORRECTLY_FORMED");
  });

  test("C5: what is no RSA key of 2048 bits or more is INCORRECTLY_FORMED, before the state is looked at", async () => {
    const device = await signUp();
    const ed25519 = generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" });
    const values = [
      new Uint8Array(0),
      randomBytes(294),
      ed25519,
      rsaKey(1024),
      Buffer.concat([device.user.public_key, Buffer.from([0])]),
      device.user.public_key.subarray(0, -1),
    ];
    for (const value of values) await unchanged(device, next(device, { value }), "INCORRECTLY_FORMED");
    const stale = next(device, { value: ed25519, expected_previous_public_key_id: randomUUID() });
    await unchanged(device, stale, "INCORRECTLY_FORMED");
  });

  test("C6: of several changes at once with one expected id exactly one wins, the others are OUT_OF_DATE", async () => {
    const device = await signUp();
    const keys = Array.from({ length: 8 }, () => next(device));
    const answers = await Promise.all(keys.map((key) => put(device, key)));
    expect(countByStatus(answers)).toEqual({ "200": 1, "400 OUT_OF_DATE": 7 });
    const winner = keys[answers.findIndex(({ status }) => status === 200)];
    expect((await storedKeyOf(device)).id).toBe(winner?.id ?? "");
  });

  test("C16: of an account that is gone it is TOKEN_EXPIRED", async () => {
    const device = await signUp();
    await server.db`delete from users where email = ${device.user.email}`;
    expectError(await put(device, next(device)), "TOKEN_EXPIRED");
  });
});

test("8.3: an id that is not a UUID is 400 INVALID_MESSAGE", async () => {
  const headers = { ...ann.headers(), "content-type": "application/json" };
  const body = (encoding: Encoding) => {
    const good = next(ann);
    if (encoding === "json") return JSON.stringify({ ...JSON.parse(NewUserPublicKey.encodeJson(good)), id: "abc" });
    // The first field is the id, a submessage of 18 bytes that holds 16; the spoilt one holds 15.
    return Buffer.concat([
      Buffer.from([0x0a, 17, 0x0a, 15]),
      randomBytes(15),
      NewUserPublicKey.encodeProtobuf(good).subarray(20),
    ]);
  };
  for (const encoding of ENCODINGS) {
    const type = encoding === "json" ? "application/json" : "application/protobuf";
    const request = new Request("http://localhost/api/user/public-key", {
      method: "PUT",
      headers: { ...headers, "content-type": type, accept: "application/json" },
      body: body(encoding),
    });
    const answer = await server.app.handle(request);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ err_type: "INVALID_MESSAGE" });
  }
});
