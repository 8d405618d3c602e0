/** Container access tokens on every route that writes (containers.md 2, decisions W3, W9, P7). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { routes } from "../../src/app.ts";
import type { ContainerRekey } from "../../src/container/messages.ts";
import type { ErrorType } from "../../src/errors.ts";
import { type Answer, Box, type Device, signContainerToken } from "../support/client.ts";
import {
  addKey,
  anyDevice,
  ENCODINGS,
  expectError,
  getContainers,
  postCategory,
  postEntry,
  postEntryAndCategory,
  putCategory,
  putContainer,
  putEntry,
  setReadOnly,
  speaking,
} from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { type Guest, newInvitation, postInvitation, signUpGuest } from "../support/invitations.ts";
import { listMembers, putRekey, rekeyOf, removeMember } from "../support/memberCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

interface Target {
  entry_id: string;
  category_id: string;
  /** Of another member. */
  member_id: string;
  rekey: ContainerRekey;
}

/** A valid request for each route that needs write access to a container. */
const WRITES: Record<string, (device: Device, box: Box, target: Target) => Promise<Answer<unknown>>> = {
  "PUT /api/container": (device, box) => putContainer(device, box),
  "POST /api/container/entry": (device, box) => postEntry(device, box),
  "PUT /api/container/entry": (device, box, { entry_id }) => putEntry(device, box, entry_id),
  "DELETE /api/container/entry": (device, box, { entry_id }) => device.deleteEntry(box, entry_id),
  "POST /api/container/entry-and-category": (device, box) => postEntryAndCategory(device, box),
  "POST /api/container/category": (device, box) => postCategory(device, box),
  "PUT /api/container/category": (device, box, { category_id }) => putCategory(device, box, category_id),
  "DELETE /api/container/category": (device, box, { category_id }) => device.deleteCategory(box, category_id),
  "GET /api/container/member": (device, box) => listMembers(device, box),
  "DELETE /api/container/member": (device, box, { member_id }) => removeMember(device, box, member_id),
  "PUT /api/container/rekey": (device, box, { rekey }) => putRekey(device, box, rekey),
  "POST /api/container/invitation": (device, box) =>
    postInvitation(device, box, newInvitation(server, guest.user.email).invitation),
};

let server: TestServer;
let account: Device;
let guest: Guest;
beforeAll(async () => {
  server = await startTestServer();
  account = await server.signUp();
  guest = await signUpGuest(server);
});
afterAll(() => server.stop());

const nowSecs = () => Math.floor(server.services.now() / 1000);

/** The same container, opened by whatever text stands in the header. */
function withToken(box: Box, token: string): Box {
  return Object.assign(new Box(box.id, box.key_id, box.privateKey), { token: () => token });
}

function tampered(token: string): string {
  const at = token.length - 20;
  return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
}

test("every route that needs write access is tested here", () => {
  const writing = routes.filter(({ spec }) => spec.tokens.container === "write");
  const names = writing.map(({ spec }) => `${spec.method} ${spec.path}`);
  expect(names.sort(), "a new route: add a valid request to WRITES above").toEqual(Object.keys(WRITES).sort());
});

const CASES = ENCODINGS.flatMap((encoding) =>
  Object.entries(WRITES).map(([route, write]) => ({ route, write, encoding })),
);

describe.each(CASES)("$route in $encoding", ({ write, encoding }) => {
  let device: Device;
  let box: Box;
  let target: Target;
  beforeEach(async () => {
    device = speaking(encoding, account, server);
    box = await device.createContainer();
    const [entry_id, category_id] = [await device.createEntry(box), await device.createCategory(box)];
    const { key_id: member_id } = await addKey(server.db, box);
    target = { entry_id, category_id, member_id, rekey: await rekeyOf(device, box) };
  });
  const call = (key: Box) => write(device, key, target);

  async function expectRefused(key: Box, type: ErrorType): Promise<void> {
    await expectUnchanged(server.db, async () => expectError(await call(key), type));
  }

  test("2.2: an absent token is TOKEN_MISSING, also with a good one only in the cookie of another name", async () => {
    const bare = Object.assign(anyDevice(server, encoding), {
      headers: () => ({ "x-access-token": device.accessToken, "x-container-accept-token": box.token() }),
    });
    await expectUnchanged(server.db, async () => expectError(await write(bare, box, target), "TOKEN_MISSING"));
  });

  test("2.2: undecodable tokens and tokens of another kind are INCORRECT_CREDENTIAL", async () => {
    const { privateKey } = box;
    const accept = { iid: crypto.randomUUID(), kid: box.key_id, cid: box.id, exp: nowSecs() + 60 };
    for (const text of [
      "",
      "x",
      box.token().slice(0, 10),
      device.accessToken,
      signContainerToken(privateKey, accept),
    ]) {
      await expectRefused(withToken(box, text), "INCORRECT_CREDENTIAL");
    }
  });

  test("2.2, W3: unknown keys and keys of another container are CONTAINER_DOES_NOT_EXIST", async () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    await expectRefused(new Box(box.id, crypto.randomUUID(), privateKey), "CONTAINER_DOES_NOT_EXIST");
    await expectRefused(new Box(Bun.randomUUIDv7(), box.key_id, box.privateKey), "CONTAINER_DOES_NOT_EXIST");
    const other = await device.createContainer();
    await expectRefused(new Box(box.id, other.key_id, other.privateKey), "CONTAINER_DOES_NOT_EXIST");
  });

  test("2.2: a bad signature is INCORRECT_CREDENTIAL, also on an expired token; a good expired one is TOKEN_EXPIRED", async () => {
    const expired = box.freshToken(nowSecs());
    await expectRefused(withToken(box, tampered(box.token())), "INCORRECT_CREDENTIAL");
    await expectRefused(new Box(box.id, box.key_id, generateKeyPairSync("ed25519").privateKey), "INCORRECT_CREDENTIAL");
    await expectRefused(withToken(box, tampered(expired)), "INCORRECT_CREDENTIAL");
    await expectRefused(withToken(box, expired), "TOKEN_EXPIRED");
    await expectRefused(withToken(box, box.freshToken(0)), "TOKEN_EXPIRED");
  });

  test("2.2: a token that was used before expires on its second", async () => {
    const expirationSecs = nowSecs() + 60;
    const key = withToken(box, box.freshToken(expirationSecs));
    expect((await call(key)).status).toBeLessThan(300);
    server.clock.aheadMs = expirationSecs * 1000 - Date.now();
    await expectRefused(key, "TOKEN_EXPIRED");
    server.clock.aheadMs = 0;
  });

  test("4: a read-only key is READ_ONLY_ACCESS and changes nothing; once the flag is cleared it may write at once", async () => {
    const reader = await addKey(server.db, box, { read_only: true });
    await expectRefused(reader, "READ_ONLY_ACCESS");
    await expectRefused(reader, "READ_ONLY_ACCESS");
    await setReadOnly(server.db, reader, false);
    expect((await call(reader)).status).toBeLessThan(300);
  });

  test("4: a key that was made read-only after it was used is refused at once", async () => {
    const key = await addKey(server.db, box);
    expect((await getContainers(device, key.token())).status).toBe(200);
    await setReadOnly(server.db, key, true);
    await expectRefused(key, "READ_ONLY_ACCESS");
  });

  test("4.1: a key whose row is gone is CONTAINER_DOES_NOT_EXIST at once, though its token was used before", async () => {
    const leaver = await addKey(server.db, box);
    expect((await getContainers(device, leaver.token())).status).toBe(200);
    await server.db`delete from container_access_keys where key_id = ${leaver.key_id}`;
    await expectRefused(leaver, "CONTAINER_DOES_NOT_EXIST");
    await server.db`delete from containers where id = ${box.id}`;
    await expectRefused(box, "CONTAINER_DOES_NOT_EXIST");
  });

  test("P7: of two cookies the first valid one counts, and the header beats them all", async () => {
    const csrf = randomBytes(8).toString("hex");
    const good = box.token();
    const expired = box.freshToken(nowSecs());
    const unknown = new Box(box.id, crypto.randomUUID(), box.privateKey).token();
    const withCookies = (texts: string[], header: Record<string, string> = {}) =>
      Object.assign(anyDevice(server, encoding), {
        headers: () => ({
          "x-access-token": device.accessToken,
          "x-csrf-token": csrf,
          cookie: [`x-csrf-token=${csrf}`, ...texts.map((text) => `x-container-access-token=${text}`)].join("; "),
          ...header,
        }),
      });
    for (const bad of ["x", tampered(good), expired, unknown]) {
      const refused = { x: "INCORRECT_CREDENTIAL", [expired]: "TOKEN_EXPIRED", [unknown]: "CONTAINER_DOES_NOT_EXIST" };
      await expectUnchanged(server.db, async () => {
        const type = (refused[bad] ?? "INCORRECT_CREDENTIAL") as ErrorType;
        expectError(await write(withCookies([bad]), box, target), type);
        const emptyHeader = withCookies([good], { "x-container-access-token": "" });
        expectError(await write(emptyHeader, box, target), "INCORRECT_CREDENTIAL");
      });
    }
    const second = await write(withCookies(["x", tampered(good), expired, unknown, good]), box, target);
    expect({ status: second.status < 300, error: second.error }).toEqual({ status: true, error: undefined });
  });
});

describe("the order of refusals on one route", () => {
  const bigBlob = { encrypted_blob: randomBytes(4 * 1024 + 1) };

  test.each(ENCODINGS)("3: access is checked before sizes, and sizes before state, in %s", async (encoding) => {
    const device = anyDevice(server, encoding);
    const box = await device.createContainer();
    const reader = await addKey(server.db, box, { read_only: true });
    const unknown = new Box(box.id, crypto.randomUUID(), box.privateKey);
    expectError(await putEntry(device, unknown, crypto.randomUUID(), bigBlob), "CONTAINER_DOES_NOT_EXIST");
    expectError(await putEntry(device, reader, crypto.randomUUID(), bigBlob), "READ_ONLY_ACCESS");
    expectError(await putEntry(device, box, crypto.randomUUID(), bigBlob), "INPUT_TOO_LARGE");
    expectError(await putEntry(device, box, crypto.randomUUID()), "ENTRY_DOES_NOT_EXIST");
    expectError(await putEntry(device, reader, crypto.randomUUID()), "READ_ONLY_ACCESS");
  });
});

describe("2.4: the vectors, through the whole server", () => {
  const PUBLIC_KEY = Buffer.from("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", "hex");
  const KEY_ID = "018f0000-0000-7000-8000-000000000001";
  const CONTAINER_ID = "018f0000-0000-7000-8000-000000000002";
  const CLAIMS = Buffer.from(`{"kid":"${KEY_ID}","bid":"${CONTAINER_ID}","exp":4102444800}`);
  const GOOD =
    "eyJraWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJiaWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDIiLCJleHAiOjQxMDI0NDQ4MDB9ccszCcXhfDK5Qg6WY7ngsVW7751EGuKaBfsDxp-3hoxBB-0BaxV51G_KmWp08U7I29RzePusSny3Bmfsc4CaBg==";
  const SMALL_R =
    "eyJraWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJiaWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDIiLCJleHAiOjQxMDI0NDQ4MDB9AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABUaIhoIgZxJLoYc_5EsbYLc3KGFWarfwev5P9GrNTtBA==";

  beforeAll(async () => {
    await server.db`
      insert into containers (id, encrypted_blob, version_nonce, modified_timestamp, sequence)
      values (${CONTAINER_ID}, '', 1, '2026-01-01', 1)`;
    await server.db`
      insert into container_heads (container_id, last_sequence, live_entries, live_categories)
      values (${CONTAINER_ID}, 1, 0, 0)`;
    await server.db`
      insert into container_access_keys (key_id, container_id, public_key, read_only)
      values (${KEY_ID}, ${CONTAINER_ID}, ${PUBLIC_KEY}, false)`;
  });

  test("the good token reads, the one whose R is the identity is INCORRECT_CREDENTIAL", async () => {
    const device = anyDevice(server);
    expect((await device.fetch([GOOD])).value?.containers.map(({ id }) => id)).toEqual([CONTAINER_ID]);
    expectError(await device.fetch([SMALL_R]), "INCORRECT_CREDENTIAL");
    expectError(await device.fetch([GOOD, SMALL_R]), "INCORRECT_CREDENTIAL");
  });

  test("2.2: a stored key that is no 32 bytes, or of small order, lets nobody in (the reference stored any)", async () => {
    const device = anyDevice(server);
    const identity = Buffer.from(`01${"00".repeat(31)}`, "hex");
    const forged = Buffer.concat([CLAIMS, identity, Buffer.alloc(32)]).toString("base64");
    const token = forged.replaceAll("+", "-").replaceAll("/", "_");
    for (const key of [Buffer.alloc(0), randomBytes(22), identity, Buffer.concat([PUBLIC_KEY, Buffer.alloc(1)])]) {
      // A server of its own: the key of a pair never changes, so a running one may remember it.
      const fresh = await startTestServer({}, server.database);
      await server.db`update container_access_keys set public_key = ${key} where key_id = ${KEY_ID}`;
      expectError(await anyDevice(fresh).fetch([token]), "INCORRECT_CREDENTIAL");
      expectError(await anyDevice(fresh).fetch([GOOD]), "INCORRECT_CREDENTIAL");
      await fresh.stop();
    }
    await server.db`update container_access_keys set public_key = ${PUBLIC_KEY} where key_id = ${KEY_ID}`;
    expect((await device.fetch([GOOD])).status).toBe(200);
  });
});
