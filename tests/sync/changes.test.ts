/** POST /api/container/changes, row by row of new-messages.md and decision C6. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { ContainerChangesList, ContainerChangesRequest } from "../../src/sync/messages.ts";
import { Box, type Device } from "../support/client.ts";
import {
  addKey,
  anyDevice,
  ENCODINGS,
  expectError,
  postEntryAndCategory,
  putEntry,
  speaking,
} from "../support/containerCalls.ts";
import { headOf, sequencesOf } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { watchStatements } from "../support/statements.ts";
import { changesOf, postChanges } from "../support/syncClient.ts";
import { editContainer, softDeleteContainer } from "./copies.ts";

let server: TestServer;
let someone: Device;
beforeAll(async () => {
  server = await startTestServer();
  someone = anyDevice(server);
});
afterAll(() => server.stop());

const HOUR_FROM_NOW = Math.floor(Date.now() / 1000) + 3600;

function tampered(token: string): string {
  const at = token.length - 20;
  return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
}

function unknownBox(): Box {
  return new Box(Bun.randomUUIDv7(), crypto.randomUUID(), generateKeyPairSync("ed25519").privateKey);
}

const asked = (...boxes: Box[]) => boxes.map((box) => ({ token: box.token(), since: 0n }));
const idsOf = (rows: readonly { id: string }[]) => rows.map(({ id }) => id);

describe.each(ENCODINGS)("new-messages.md changes, in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  test("from 0: the container's state and all its rows, each as a fetch shows it", async () => {
    const box = await device.createContainer();
    const { entry_id = "", category_id = "" } = (await postEntryAndCategory(device, box)).value ?? {};
    const free = await device.createEntry(box);
    await device.deleteEntry(box, free);
    const changes = await changesOf(device, box);
    const { id, categories, entries, ...own } = await device.read(box);
    expect(changes).toMatchObject({ container_id: id, more: false, reset: false });
    expect(changes.container).toEqual(own);
    expect(changes.categories).toEqual(categories);
    expect(changes.entries).toEqual(entries);
    expect(idsOf(changes.categories)).toEqual([category_id]);
    expect(idsOf(changes.entries)).toEqual([entry_id, free]);
    expect(changes.cursor).toBe((await headOf(server.db, box.id)).last_sequence);
  });

  test("C6: only rows with a higher number come, tombstones included, with the new cursor", async () => {
    const box = await device.createContainer();
    const [kept, edited, deleted] = [
      await device.createEntry(box),
      await device.createEntry(box),
      await device.createEntry(box),
    ];
    const { cursor } = await changesOf(device, box);
    expect((await putEntry(device, box, edited)).status).toBe(200);
    await device.deleteEntry(box, deleted);
    const changes = await changesOf(device, box, cursor);
    expect(changes).not.toHaveProperty("container");
    expect(idsOf(changes.entries)).toEqual([edited, deleted]);
    expect(idsOf(changes.entries)).not.toContain(kept);
    expect(changes.entries[0]).not.toHaveProperty("deleted_at");
    expect(changes.entries[1]?.encrypted_blob).toHaveLength(0);
    expect(changes.entries[1]?.deleted_at).toBe(changes.entries[1]?.modified_timestamp);
    expect(changes.cursor).toBe(cursor + 2n);
  });

  test("C6: a deleted category comes with every entry that it was taken from", async () => {
    const box = await device.createContainer();
    const pair = (await postEntryAndCategory(device, box)).value;
    const outside = await device.createEntry(box);
    const { cursor } = await changesOf(device, box);
    await device.deleteCategory(box, pair?.category_id ?? "");
    const changes = await changesOf(device, box, cursor);
    expect(idsOf(changes.categories)).toEqual([pair?.category_id ?? ""]);
    expect(idsOf(changes.entries)).toEqual([pair?.entry_id ?? ""]);
    expect(idsOf(changes.entries)).not.toContain(outside);
    expect(changes.entries[0]).not.toHaveProperty("category_id");
  });

  test("containers with nothing new are present with their cursor; the order is the request's", async () => {
    const boxes = [await device.createContainer(), await device.createContainer(), await device.createContainer()];
    const [first, second, third] = boxes as [Box, Box, Box];
    await device.createEntry(second);
    const { cursor } = await changesOf(device, second);
    const cursors = [
      { token: third.token(), since: 1n },
      { token: second.token(), since: cursor },
      { token: first.token(), since: 0n },
    ];
    const { value } = await postChanges(device, cursors);
    const nothing = { more: false, reset: false, categories: [], entries: [] };
    expect(value?.changes[0]).toEqual({ container_id: third.id, cursor: 1n, ...nothing });
    expect(value?.changes[1]).toEqual({ container_id: second.id, cursor, ...nothing });
    expect(value?.changes[2]).toMatchObject({ container_id: first.id, cursor: 1n, ...nothing });
    expect(value?.changes[2]?.container).toBeDefined();
    expect(value?.changes).toHaveLength(3);
  });

  test("a container that is named twice is answered twice, each from its own cursor, whichever key it was named by", async () => {
    const box = await device.createContainer();
    const second = await addKey(server.db, box, { read_only: true });
    const ids = [await device.createEntry(box), await device.createEntry(box)];
    const cursors = [
      { token: box.token(), since: 2n },
      { token: second.token(), since: 0n },
      { token: box.token(), since: 3n },
      { token: box.token(), since: 2n },
    ];
    const { value } = await postChanges(device, cursors);
    expect(value?.changes.map(({ entries }) => idsOf(entries))).toEqual([[ids[1] ?? ""], ids, [], [ids[1] ?? ""]]);
    expect(value?.changes.map(({ container_id, cursor }) => [container_id, cursor])).toEqual(
      Array(4).fill([box.id, 3n]),
    );
  });

  test("no containers: an empty list", async () => {
    const answer = await postChanges(device, []);
    expect(answer.status).toBe(200);
    expect(answer.value).toEqual({ changes: [] });
  });

  test("reset: a cursor above the container's number starts over, in this page", async () => {
    const box = await device.createContainer();
    const id = await device.createEntry(box);
    for (const since of [3n, 4_000_000_000n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 63n + 2n, 2n ** 64n - 1n]) {
      const changes = await changesOf(device, box, since);
      expect(changes).toMatchObject({ reset: true, more: false, cursor: 2n });
      expect(changes.container).toBeDefined();
      expect(idsOf(changes.entries)).toEqual([id]);
    }
    expect(await changesOf(device, box, 2n)).toMatchObject({ reset: false, entries: [], cursor: 2n });
  });
});

describe("new-messages.md changes: who may ask", () => {
  test("an access token is needed, and a body with content type", async () => {
    const box = await someone.createContainer();
    const body = ContainerChangesRequest.encodeProtobuf({ containers: asked(box) });
    const send = (headers: Record<string, string>) =>
      server.app.handle(new Request("http://localhost/api/container/changes", { method: "POST", headers, body }));
    expect((await send({ "content-type": "application/protobuf" })).status).toBe(401);
    expect((await send(someone.headers())).status).toBe(400);
    const answer = await send({ ...someone.headers(), "content-type": "application/x-protobuf", accept: "*/*" });
    expect(answer.status).toBe(200);
    const { changes } = ContainerChangesList.decodeProtobuf(new Uint8Array(await answer.arrayBuffer()));
    expect(changes).toHaveLength(1);
  });

  test("count (418), then decoding (400), then unknown pairs (404), then signatures and expiry (401)", async () => {
    const good = await someone.createContainer();
    const { since } = { since: 0n };
    const of = (...tokens: string[]) =>
      postChanges(
        someone,
        tokens.map((token) => ({ token, since })),
      );
    const unknown = unknownBox().token();
    const expired = good.freshToken(HOUR_FROM_NOW - 7200);
    const wrong = tampered(good.freshToken());
    expectError(await of(...Array<string>(51).fill("garbage")), "TOO_MANY_REQUESTED");
    expectError(await of(wrong, expired, unknown, "garbage"), "INCORRECTLY_FORMED");
    expectError(await of(wrong, expired, unknown), "CONTAINER_DOES_NOT_EXIST");
    expectError(await of(good.token(), wrong), "INCORRECT_CREDENTIAL");
    expectError(await of(good.token(), expired), "TOKEN_EXPIRED");
    expect((await of(...Array<string>(50).fill(good.token()))).status).toBe(200);
  });

  test("W8: tokens are checked before max_bytes is", async () => {
    const good = await someone.createContainer();
    expectError(await postChanges(someone, asked(unknownBox()), 0), "CONTAINER_DOES_NOT_EXIST");
    for (const max_bytes of [0, 32 * 1024 * 1024 + 1, 2 ** 32 - 1]) {
      expectError(await postChanges(someone, asked(good), max_bytes), "INCORRECTLY_FORMED");
    }
    for (const max_bytes of [1, 32 * 1024 * 1024]) {
      expect((await postChanges(someone, asked(good), max_bytes)).status).toBe(200);
    }
  });

  test("W3: a key opens its own container only, also beside a good token", async () => {
    const mine = await someone.createContainer();
    const theirs = await anyDevice(server).createContainer();
    const forged = new Box(theirs.id, mine.key_id, mine.privateKey);
    for (const boxes of [[forged], [mine, forged], [forged, mine]]) {
      expectError(await postChanges(someone, asked(...boxes)), "CONTAINER_DOES_NOT_EXIST");
    }
  });

  test("C6: a removed key is 404 at once, whatever this process remembers of it and whether or not there is anything new", async () => {
    const [box, other] = [await someone.createContainer(), await someone.createContainer()];
    const leaver = await addKey(server.db, box);
    expect((await postChanges(someone, asked(other, leaver))).status).toBe(200);
    await server.db`delete from container_access_keys where key_id = ${leaver.key_id}`;
    for (const since of [0n, 1n]) {
      const cursors = [
        { token: other.token(), since },
        { token: leaver.token(), since },
      ];
      expectError(await postChanges(someone, cursors), "CONTAINER_DOES_NOT_EXIST");
      expectError(await postChanges(someone, cursors.toReversed()), "CONTAINER_DOES_NOT_EXIST");
    }
    expect((await postChanges(someone, asked(other, box))).status).toBe(200);
  });

  test("a deleted container is 404", async () => {
    const [box, other] = [await someone.createContainer(), await someone.createContainer()];
    await changesOf(someone, box);
    await server.db`delete from containers where id = ${box.id}`;
    expectError(await postChanges(someone, asked(other, box)), "CONTAINER_DOES_NOT_EXIST");
  });

  test("4.1: a read-only key may read", async () => {
    const box = await someone.createContainer();
    const reader = await addKey(server.db, box, { read_only: true });
    expect((await changesOf(someone, reader)).container).toBeDefined();
  });
});

describe("C6: one round trip, one snapshot", () => {
  test("50 containers, with and without anything new: one statement", async () => {
    const watch = watchStatements(server.database);
    const watched = await startTestServer({}, watch.database);
    const device = anyDevice(watched);
    const boxes: Box[] = [];
    for (let count = 0; count < 50; count++) boxes.push(await device.createContainer());
    expect((await postChanges(device, asked(...boxes))).status).toBe(200);
    watch.take();
    expect((await postChanges(device, asked(...boxes))).value?.changes).toHaveLength(50);
    expect(watch.take()).toHaveLength(1);
    const cursors = boxes.map((box) => ({ token: box.token(), since: 1n }));
    expect((await postChanges(device, cursors)).value?.changes).toHaveLength(50);
    expect(watch.take()).toHaveLength(1);
    await watched.stop();
  });

  test("a change that is not committed does not count, and its number comes when it is", async () => {
    const box = await someone.createContainer();
    const category_id = await someone.createCategory(box);
    const before = (await sequencesOf(server.db, box.id)).get(category_id) ?? 0n;
    await server.db.begin(async (transaction) => {
      await transaction`update container_heads set last_sequence = last_sequence + 1 where container_id = ${box.id}`;
      await transaction`update categories set sequence = sequence + 1 where id = ${category_id}`;
      expect(await changesOf(someone, box, before)).toMatchObject({ cursor: before, more: false, categories: [] });
    });
    const after = await changesOf(someone, box, before);
    expect(after.cursor).toBe(before + 1n);
    expect(idsOf(after.categories)).toEqual([category_id]);
  });
});

describe("containers.md 3.2: a soft-deleted container", () => {
  test("comes with deleted_at and without rows; revived, its clients start over and have all rows again", async () => {
    const box = await someone.createContainer();
    const { entry_id = "", category_id = "" } = (await postEntryAndCategory(someone, box)).value ?? {};
    const { cursor } = await changesOf(someone, box);
    await softDeleteContainer(server.db, box);
    const hidden = await someone.createEntry(box);

    const deleted = await changesOf(someone, box, cursor);
    expect(deleted).toMatchObject({ cursor: cursor + 2n, more: false, reset: false, categories: [], entries: [] });
    expect(deleted.container?.deleted_at).toBeGreaterThan(0n);
    expect(deleted.container?.encrypted_blob).toHaveLength(0);
    expect(await changesOf(someone, box)).toEqual(deleted);
    const nothing = await changesOf(someone, box, deleted.cursor);
    expect(nothing).toMatchObject({ cursor: deleted.cursor, more: false, reset: false });
    expect(nothing).not.toHaveProperty("container");

    await editContainer(someone, box);
    for (const since of [cursor, deleted.cursor, 0n]) {
      const revived = await changesOf(someone, box, since);
      expect(revived).toMatchObject({ cursor: deleted.cursor + 1n, more: false, reset: since !== 0n });
      expect(revived.container).not.toHaveProperty("deleted_at");
      expect(idsOf(revived.categories)).toEqual([category_id]);
      expect(idsOf(revived.entries)).toEqual([entry_id, hidden]);
    }
  });

  test("an edit of a container that is not deleted makes nobody start over", async () => {
    const box = await someone.createContainer();
    await someone.createEntry(box);
    const { cursor } = await changesOf(someone, box);
    await editContainer(someone, box);
    const changes = await changesOf(someone, box, cursor);
    expect(changes).toMatchObject({ reset: false, entries: [], cursor: cursor + 1n });
    expect(changes.container).toBeDefined();
  });
});
