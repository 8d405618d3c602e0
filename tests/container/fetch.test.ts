import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { ContainerAccessTokenList } from "../../src/container/messages.ts";
import { Box, type Device, signContainerToken } from "../support/client.ts";
import {
  addKey,
  anyDevice,
  ENCODINGS,
  expectError,
  getContainers,
  postCategory,
  postEntry,
  postEntryAndCategory,
  speaking,
} from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let someone: Device;
beforeAll(async () => {
  server = await startTestServer();
  someone = await server.signUp();
});
afterAll(() => server.stop());

const HOUR_FROM_NOW = Math.floor(Date.now() / 1000) + 3600;

/** A token for any pair of ids. */
const tokenFor = (kid: string, bid: string, { privateKey }: Box, exp = HOUR_FROM_NOW) =>
  signContainerToken(privateKey, { kid, bid, exp });

/** Changes the first character of the signature. */
function tampered(token: string): string {
  const at = token.length - 20;
  return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
}

function unknownBox(): Box {
  const { privateKey } = generateKeyPairSync("ed25519");
  return new Box(Bun.randomUUIDv7(), crypto.randomUUID(), privateKey);
}

/** Both ways to read containers answer alike; only an undecodable token has another error. */
const WAYS = {
  "GET with the tokens in the header": {
    fetch: (device: Device, tokens: string[]) => getContainers(device, tokens.join(",")),
    undecodable: "INCORRECT_CREDENTIAL",
  },
  "POST query with the tokens in the body": {
    fetch: (device: Device, tokens: string[]) => device.fetch(tokens),
    undecodable: "INCORRECTLY_FORMED",
  },
} as const;

const COMBINATIONS = ENCODINGS.flatMap((encoding) =>
  Object.entries(WAYS).map(([name, way]) => ({ name, encoding, ...way })),
);

describe.each(COMBINATIONS)("W2: $name, in $encoding", ({ encoding, fetch, undecodable }) => {
  let device: Device;
  beforeAll(() => {
    device = speaking(encoding, someone, server);
  });

  async function idsOf(tokens: string[]): Promise<string[]> {
    const answer = await fetch(device, tokens);
    expect(answer.status).toBe(200);
    return answer.value?.containers.map(({ id }) => id) ?? [];
  }

  test("containers.md 11: three containers come back, each with its own rows only, ordered by id (W4)", async () => {
    const boxes = [await device.createContainer(), await device.createContainer(), await device.createContainer()];
    const expected = new Map<string, { categories: string[]; entries: string[] }>();
    for (const box of boxes) {
      const pair = (await postEntryAndCategory(device, box)).value;
      const category = (await postCategory(device, box)).value?.value;
      const entry = (await postEntry(device, box)).value?.value;
      expected.set(box.id, {
        categories: [pair?.category_id ?? "", category ?? ""],
        entries: [pair?.entry_id ?? "", entry ?? ""],
      });
    }
    const [a, b, c] = boxes.map((box) => box.token());
    const answer = await fetch(device, [c ?? "", a ?? "", b ?? ""]);
    const shown = answer.value?.containers.map(({ id, categories, entries }) => ({
      id,
      categories: categories.map((row) => row.id),
      entries: entries.map((row) => row.id),
    }));
    expect(shown).toEqual(boxes.map(({ id }) => ({ id, ...(expected.get(id) ?? { categories: [], entries: [] }) })));
    for (const { id, categories, entries } of answer.value?.containers ?? []) {
      for (const row of [...categories, ...entries]) expect(row.container_id).toBe(id);
    }
  });

  test("W4: rows are ordered by id, whatever order they were stored in", async () => {
    const box = await device.createContainer();
    const ids = Array.from({ length: 12 }, () => crypto.randomUUID());
    for (const [index, id] of ids.entries()) {
      await server.db`
        insert into categories (id, container_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
        values (${id}, ${box.id}, '', 1, '2026-01-01', ${100 + index})`;
      await server.db`
        insert into entries (id, container_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
        values (${id}, ${box.id}, '', 1, '2026-01-01', ${200 + index})`;
    }
    const container = (await fetch(device, [box.token()])).value?.containers[0];
    expect(container?.categories.map(({ id }) => id)).toEqual(ids.toSorted());
    expect(container?.entries.map(({ id }) => id)).toEqual(ids.toSorted());
  });

  test("4.1: the same token twice, and two keys of one container, show that container once", async () => {
    const box = await device.createContainer();
    const other = await device.createContainer();
    const second = await addKey(server.db, box);
    expect(await idsOf([box.token(), box.token()])).toEqual([box.id]);
    expect(await idsOf([second.token(), box.token()])).toEqual([box.id]);
    expect(await idsOf([second.token(), other.token(), box.freshToken(), box.token()])).toEqual([box.id, other.id]);
  });

  test("4.1: a read-only key may read", async () => {
    const box = await device.createContainer();
    const reader = await addKey(server.db, box, { read_only: true });
    expect(await idsOf([reader.token()])).toEqual([box.id]);
  });

  test("3.1: timestamps are exact to the microsecond", async () => {
    const box = await device.createContainer();
    const entry_id = await device.createEntry(box);
    const category_id = await device.createCategory(box);
    await server.db`
      update entries set modified_timestamp = '2026-01-31T08:15:00.123457', deleted_at = '9999-12-31T23:59:59.999999'
      where id = ${entry_id}`;
    await server.db`update categories set modified_timestamp = '1970-01-01T00:00:00.000001' where id = ${category_id}`;
    await server.db`update containers set modified_timestamp = '2038-01-19T03:14:07.999999' where id = ${box.id}`;
    const container = (await fetch(device, [box.token()])).value?.containers[0];
    expect(container?.entries[0]).toMatchObject({
      modified_timestamp: 1_769_847_300_123_457n,
      deleted_at: 253_402_300_799_999_999n,
    });
    expect(container?.categories[0]?.modified_timestamp).toBe(1n);
    expect(container?.modified_timestamp).toBe(2_147_483_647_999_999n);
  });

  test("3.2, 11: a soft-deleted container shows its blob, deleted_at and no rows; a live one beside it is complete", async () => {
    const live = await device.createContainer();
    const entry_id = await device.createEntry(live);
    const dead = await device.createContainer();
    await postEntryAndCategory(device, dead);
    const deletedAt = 1_769_847_300_000_001n;
    await server.db`update containers set deleted_at = '2026-01-31T08:15:00.000001', encrypted_blob = '' where id = ${dead.id}`;

    const alone = (await fetch(device, [dead.token()])).value?.containers;
    expect(alone).toHaveLength(1);
    expect(alone?.[0]).toMatchObject({ id: dead.id, deleted_at: deletedAt, categories: [], entries: [] });
    expect(alone?.[0]?.encrypted_blob).toHaveLength(0);

    const [first, second] = (await fetch(device, [dead.token(), live.token()])).value?.containers ?? [];
    expect(first?.id).toBe(live.id);
    expect(first).not.toHaveProperty("deleted_at");
    expect(first?.entries.map(({ id }) => id)).toEqual([entry_id]);
    expect(second).toMatchObject({ id: dead.id, deleted_at: deletedAt, categories: [], entries: [] });
  });

  test("W3: one key's token for a container it does not open is refused beside a good one (4.1, first form)", async () => {
    const mine = await device.createContainer();
    const theirs = await anyDevice(server).createContainer();
    const good = mine.token();
    const forged = tokenFor(mine.key_id, theirs.id, mine);
    const junk = tampered(forged);
    for (const tokens of [[forged, good], [good, forged], [junk, good], [forged], [forged, forged, good]]) {
      expectError(await fetch(device, tokens), "CONTAINER_DOES_NOT_EXIST");
    }
  });

  test("W3: a second key of one's own container opens no other container (4.1, second form)", async () => {
    const mine = await device.createContainer();
    const second = await addKey(server.db, mine);
    const theirs = await anyDevice(server).createContainer();
    const forged = tokenFor(second.key_id, theirs.id, second);
    for (const tokens of [
      [mine.token(), forged],
      [forged, mine.token()],
      [mine.token(), second.token(), forged],
    ]) {
      expectError(await fetch(device, tokens), "CONTAINER_DOES_NOT_EXIST");
    }
    // Swapped ids: both keys and both containers are known, but neither pair is.
    const other = await device.createContainer();
    const swapped = [tokenFor(mine.key_id, other.id, mine), tokenFor(other.key_id, mine.id, other)];
    expectError(await fetch(device, swapped), "CONTAINER_DOES_NOT_EXIST");
  });

  test("W3: every token is verified, also of two for one key", async () => {
    const box = await device.createContainer();
    expectError(await fetch(device, [tampered(box.freshToken()), box.token()]), "INCORRECT_CREDENTIAL");
    expectError(await fetch(device, [box.token(), tampered(box.freshToken())]), "INCORRECT_CREDENTIAL");
    expectError(await fetch(device, [box.freshToken(HOUR_FROM_NOW - 7200), box.token()]), "TOKEN_EXPIRED");
  });

  test("new-messages: count (418) is checked before decoding, before unknown keys (404), before signature and expiry (401)", async () => {
    const box = await device.createContainer();
    const good = box.token();
    const unknown = unknownBox().token();
    const expired = box.freshToken(HOUR_FROM_NOW - 7200);
    const wrong = tampered(good);
    expectError(
      await fetch(
        device,
        Array.from({ length: 51 }, () => "garbage"),
      ),
      "TOO_MANY_REQUESTED",
    );
    expectError(
      await fetch(
        device,
        Array.from({ length: 101 }, () => "garbage"),
      ),
      "TOO_MANY_REQUESTED",
    );
    expectError(await fetch(device, [wrong, expired, unknown, "garbage"]), undecodable);
    expectError(await fetch(device, [wrong, expired, unknown]), "CONTAINER_DOES_NOT_EXIST");
    expectError(await fetch(device, [good, wrong]), "INCORRECT_CREDENTIAL");
    expectError(await fetch(device, [expired, good]), "TOKEN_EXPIRED");
    expectError(await fetch(device, [tampered(expired)]), "INCORRECT_CREDENTIAL");
  });

  test("4.1: exactly 50 tokens pass", async () => {
    const box = await device.createContainer();
    expect(await idsOf(Array.from({ length: 50 }, () => box.token()))).toEqual([box.id]);
  });

  test("4.1: all or nothing: a key that is gone makes the whole answer 404, at once and whatever was cached", async () => {
    const box = await device.createContainer();
    const gone = await device.createContainer();
    const leaver = await addKey(server.db, box);
    expect(await idsOf([box.token(), gone.token(), leaver.token()])).toEqual([box.id, gone.id]);
    await server.db`delete from container_access_keys where key_id = ${leaver.key_id}`;
    expectError(await fetch(device, [leaver.token()]), "CONTAINER_DOES_NOT_EXIST");
    expectError(await fetch(device, [box.token(), leaver.token()]), "CONTAINER_DOES_NOT_EXIST");
    expect(await idsOf([box.token(), gone.token()])).toEqual([box.id, gone.id]);
    await server.db`delete from containers where id = ${gone.id}`;
    expectError(await fetch(device, [gone.token()]), "CONTAINER_DOES_NOT_EXIST");
    expectError(await fetch(device, [box.token(), gone.token()]), "CONTAINER_DOES_NOT_EXIST");
    expect(await idsOf([box.token()])).toEqual([box.id]);
  });

  test("2.2: a key that is gone is CONTAINER_DOES_NOT_EXIST also for a bad signature and an expired token", async () => {
    const box = await device.createContainer();
    const leaver = await addKey(server.db, box);
    expect(await idsOf([leaver.token()])).toEqual([box.id]);
    await server.db`delete from container_access_keys where key_id = ${leaver.key_id}`;
    expectError(await fetch(device, [tampered(leaver.token())]), "CONTAINER_DOES_NOT_EXIST");
    expectError(await fetch(device, [leaver.freshToken(HOUR_FROM_NOW - 7200)]), "CONTAINER_DOES_NOT_EXIST");
    expectError(await fetch(device, [leaver.token(), tampered(box.token())]), "CONTAINER_DOES_NOT_EXIST");
  });
});

describe("W2: the edges of the list", () => {
  test.each(ENCODINGS)("4.1: an empty list is 200 with an empty list, in %s", async (encoding) => {
    const answer = await speaking(encoding, someone, server).fetch([]);
    expect(answer.status).toBe(200);
    expect(answer.value).toEqual({ containers: [] });
  });

  test("4.1: the protobuf answer to an empty list is a body of no bytes", async () => {
    const response = await server.app.handle(
      new Request("http://localhost/api/container/query", {
        method: "POST",
        headers: { ...someone.headers(), "content-type": "application/protobuf" },
        body: ContainerAccessTokenList.encodeProtobuf({ tokens: [] }),
      }),
    );
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/protobuf");
    expect((await response.arrayBuffer()).byteLength).toBe(0);
  });

  test("1: the count limit is the operator's ENTRIES_MAX_CONTAINER_FETCH_COUNT", async () => {
    const small = await startTestServer({ ENTRIES_MAX_CONTAINER_FETCH_COUNT: "2" }, server.database);
    const device = anyDevice(small);
    const box = await device.createContainer();
    expect((await device.fetch([box.token(), box.token()])).status).toBe(200);
    expectError(await device.fetch([box.token(), box.token(), box.token()]), "TOO_MANY_REQUESTED");
    await small.stop();
  });
});
