import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { ContainerAccessTokenList } from "../../src/container/messages.ts";
import { followChanges } from "../../src/events/liveChanges.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import { secondDevice } from "../support/accounts.ts";
import { Box, type Device, rawPublicKey } from "../support/client.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { EventReader, type ServerSentEvent } from "./eventReader.ts";

/** What happens every some seconds, in time for a test. */
const FAST = { tellHereEveryMs: 10, tellEveryMs: 50, lookEveryMs: 50, recheckEveryMs: 100, heartbeatEveryMs: 100 };
/** Nothing happens by itself. */
const NEVER = {
  tellHereEveryMs: 10,
  tellEveryMs: 50,
  lookEveryMs: 3_600_000,
  recheckEveryMs: 3_600_000,
  heartbeatEveryMs: 3_600_000,
};
const MINUTE_MS = 60_000;

let server: TestServer;
let device: Device & { user: Parameters<typeof secondDevice>[1]["user"] };
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_MAX_STREAMS_PER_USER: "50" });
  await server.services.liveChanges.stop();
  server.services.liveChanges = await followChanges(server.services, NEVER);
  device = await server.signUp();
});
afterAll(() => server.stop());

interface Opening {
  by?: "GET" | "POST";
  from?: TestServer;
  who?: Device;
  tokens?: string[];
}

async function request(boxes: readonly Box[], { by = "GET", from = server, who = device, tokens }: Opening = {}) {
  const texts = tokens ?? boxes.map((box) => box.token());
  const headers: Record<string, string> = { "x-access-token": who.accessToken };
  if (by === "GET" && texts.length > 0) headers["x-container-access-token"] = texts.join(", ");
  if (by === "POST") headers["content-type"] = "application/json";
  const body = by === "POST" ? { body: ContainerAccessTokenList.encodeJson({ tokens: texts }) } : {};
  return from.app.handle(new Request("http://localhost/api/container/events", { method: by, headers, ...body }));
}

/** A stream whose first events, one per container, were read. */
async function open(boxes: readonly Box[], opening: Opening = {}): Promise<EventReader> {
  const reader = new EventReader(await request(boxes, opening));
  for (const _ of boxes) await reader.next();
  return reader;
}

async function errorOf(response: Response): Promise<string> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const isJson = response.headers.get("content-type") === "application/json";
  return (isJson ? ServerErrorResponse.decodeJson(bytes) : ServerErrorResponse.decodeProtobuf(bytes)).err_type;
}

/** A server of its own whose streams are looked after many times a second. */
async function startFastServer(environment: Record<string, string> = {}): Promise<TestServer> {
  const fast = await startTestServer(environment, server.database);
  await fast.services.liveChanges.stop();
  fast.services.liveChanges = await followChanges(fast.services, FAST);
  return fast;
}

/** One more key to a container. */
async function anotherKey(box: Box): Promise<Box> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const second = new Box(box.id, randomUUID(), privateKey);
  await server.db`
    insert into container_access_keys (key_id, container_id, public_key, read_only)
    values (${second.key_id}, ${box.id}, ${rawPublicKey(publicKey)}, false)`;
  return second;
}

const change = (box: Box, cursor: number): ServerSentEvent => ({
  event: "change",
  data: { container_id: box.id, cursor: String(cursor) },
});
const gone = (box: Box): ServerSentEvent => ({ event: "gone", data: { container_id: box.id } });

describe("new-messages.md, live changes: what a stream tells", () => {
  test.each(["GET", "POST"] as const)(
    "%s: the present cursor of each container comes first, then changes",
    async (by) => {
      const [one, two] = [await device.createContainer(), await device.createContainer()];
      await device.createEntry(one);
      const reader = new EventReader(await request([one, two], { by }));
      expect(reader.headers.get("content-type")).toBe("text/event-stream");
      expect(reader.headers.get("cache-control")).toBe("no-store");
      expect([await reader.next(), await reader.next()]).toEqual([change(one, 2), change(two, 1)]);

      await device.createEntry(two);
      expect(await reader.next()).toEqual(change(two, 2));
      await reader.close();
    },
  );

  test("C7: every kind of change is told, right after its commit, and none of another container", async () => {
    const [box, other] = [await device.createContainer(), await device.createContainer()];
    const reader = await open([box]);
    const entry_id = await device.createEntry(box);
    expect(await reader.next()).toEqual(change(box, 2));
    const category_id = await device.createCategory(box);
    expect(await reader.next()).toEqual(change(box, 3));
    await device.createEntry(other);
    await device.replaceEntry(box, {
      entry_id,
      encrypted_blob: new Uint8Array(3),
      version_nonce: 2n,
      expected_previous_version_nonce: 1n,
      category_id: undefined,
    });
    expect(await reader.next()).toEqual(change(box, 4));
    await device.deleteEntry(box, entry_id);
    expect(await reader.next()).toEqual(change(box, 5));
    await device.deleteCategory(box, category_id);
    expect(await reader.next()).toEqual(change(box, 6));
    await device.replaceContainer(box, {
      encrypted_blob: new Uint8Array(3),
      version_nonce: 2n,
      expected_previous_version_nonce: 1n,
    });
    expect(await reader.next()).toEqual(change(box, 7));
    expect(await reader.during(150)).toEqual({ events: [], hasEnded: false });
    await reader.close();
  });

  test("C7: many changes may be folded, and the last cursor is the container's", async () => {
    const box = await device.createContainer();
    const reader = await open([box]);
    await Promise.all(Array.from({ length: 100 }, () => device.createEntry(box)));
    const { events } = await reader.during(300);
    expect(events.at(-1)).toEqual(change(box, 101));
    expect(events.length).toBeLessThan(100);
    const cursors = events.map(({ data }) => Number(data.cursor));
    expect(cursors).toEqual(cursors.toSorted((a, b) => a - b));
    await reader.close();
  });

  test("C7: a change that was refused is told to nobody", async () => {
    const box = await device.createContainer();
    const reader = await open([box]);
    const stale = { encrypted_blob: new Uint8Array(3), version_nonce: 2n, expected_previous_version_nonce: 99n };
    expect((await device.replaceContainer(box, stale)).status).toBe(400);
    expect(await reader.during(100)).toEqual({ events: [], hasEnded: false });
    await reader.close();
  });
});

describe("C7: several processes", () => {
  test("a change in one process is told by another within 200 ms, and the other way round", async () => {
    const other = await startFastServer();
    try {
      const box = await device.createContainer();
      const [here, there] = [await open([box]), await open([box], { from: other })];
      for (let round = 0; round < 5; round++) {
        await device.createEntry(box);
        const startedAt = performance.now();
        expect(await there.next(1_000)).toEqual(change(box, 2 + 2 * round));
        expect(performance.now() - startedAt).toBeLessThan(200);
        expect(await here.next(200)).toEqual(change(box, 2 + 2 * round));

        const elsewhere = Object.assign(Object.create(device), { client: other.client() }) as Device;
        await elsewhere.createEntry(box);
        expect(await here.next(200)).toEqual(change(box, 3 + 2 * round));
        expect(await there.next(200)).toEqual(change(box, 3 + 2 * round));
      }
      await Promise.all([here.close(), there.close()]);
    } finally {
      await other.stop();
    }
  });

  test("what no notification told, like after a crash, is found by looking again", async () => {
    const fast = await startFastServer();
    try {
      const box = await device.createContainer();
      const reader = await open([box], { from: fast });
      await server.db`update container_heads set last_sequence = 77 where container_id = ${box.id}`;
      expect(await reader.next(1_000)).toEqual(change(box, 77));
      await reader.close();
    } finally {
      await fast.stop();
    }
  });

  test("hundreds of containers fit into notifications of 8,000 bytes", async () => {
    const other = await startTestServer({ ENTRIES_MAX_CONTAINER_FETCH_COUNT: "400" }, server.database);
    try {
      const boxes = await Promise.all(Array.from({ length: 400 }, () => device.createContainer()));
      const reader = await open(boxes, { from: other, by: "POST" });
      for (const box of boxes) server.services.liveChanges.announce(box.id);
      await server.db`update container_heads set last_sequence = 5 where container_id = any (${boxes.map(({ id }) => id)})`;
      await server.services.liveChanges.stop();
      server.services.liveChanges = await followChanges(server.services, NEVER);
      for (const box of boxes) server.services.liveChanges.announce(box.id);
      const told = new Set<string>();
      while (told.size < boxes.length) told.add((await reader.next())?.data.container_id ?? "");
      await reader.close();
    } finally {
      await other.stop();
    }
  });
});

describe("C7: a stream ends", () => {
  let fast: TestServer;
  beforeAll(async () => {
    fast = await startFastServer({ ENTRIES_MAX_STREAMS_PER_USER: "2000" });
  });
  afterAll(() => fast.stop());

  test("a key that is removed is gone; the stream goes on for the others and ends with the last", async () => {
    const [one, two] = [await device.createContainer(), await device.createContainer()];
    const reader = await open([one, two], { from: fast });
    await server.db`delete from container_access_keys where key_id = ${one.key_id}`;
    expect(await reader.next()).toEqual(gone(one));
    await device.createEntry(two);
    expect(await reader.next()).toEqual(change(two, 2));
    await server.db`delete from containers where id = ${two.id}`;
    expect(await reader.during(1_000)).toEqual({ events: [gone(two)], hasEnded: true });
  });

  test("a container that two keys opened is gone with the last of them", async () => {
    const box = await device.createContainer();
    const second = await anotherKey(box);
    const tokens = [box.token(), second.token()];
    const reader = new EventReader(await request([], { from: fast, tokens }));
    expect(await reader.next()).toEqual(change(box, 1));
    await server.db`delete from container_access_keys where key_id = ${second.key_id}`;
    expect(await reader.during(300)).toEqual({ events: [], hasEnded: false });
    await device.createEntry(box);
    expect(await reader.next()).toEqual(change(box, 2));
    await server.db`delete from container_access_keys where key_id = ${box.key_id}`;
    expect(await reader.during(1_000)).toEqual({ events: [gone(box)], hasEnded: true });
  });

  test("a container is listened to until the last of its tokens expires, whatever their order", async () => {
    const box = await device.createContainer();
    const soonSecs = Math.floor(Date.now() / 1000) + 2;
    const tokens = [box.token(), box.freshToken(soonSecs)];
    const reader = new EventReader(await request([], { from: fast, tokens }));
    expect(await reader.next()).toEqual(change(box, 1));
    expect(await reader.during(2_500)).toEqual({ events: [], hasEnded: false });
    await reader.close();
  });

  test("a key that is removed while a thousand streams show it is gone from each", async () => {
    const box = await device.createContainer();
    const readers = await Promise.all(Array.from({ length: 1_000 }, () => open([box], { from: fast })));
    await server.db`delete from container_access_keys where key_id = ${box.key_id}`;
    for (const reader of readers) expect(await reader.during(2_000)).toEqual({ events: [gone(box)], hasEnded: true });
  });

  test("a container token that expires is gone", async () => {
    const [box, lasting] = [await device.createContainer(), await device.createContainer()];
    const expirationSecs = Math.floor(Date.now() / 1000) + 2;
    const tokens = [box.freshToken(expirationSecs), lasting.token()];
    const reader = await open([box, lasting], { from: fast, tokens });
    expect(await reader.next(3_000)).toEqual(gone(box));
    await reader.close();
  });

  test("an access token that expires, and a session that ends, end it", async () => {
    const box = await device.createContainer();
    const other = await secondDevice(server, device);
    const reader = await open([box], { from: fast, who: other });
    const kept = await open([box], { from: fast });
    expect((await other.client.logout(other.accessToken, other.refreshToken)).status).toBe(200);
    expect(await reader.during(1_000)).toEqual({ events: [], hasEnded: true });

    fast.clock.aheadMs += 16 * MINUTE_MS;
    expect((await kept.during(1_000)).hasEnded).toBe(true);
    fast.clock.aheadMs = 0;
  });

  test("a comment comes again and again", async () => {
    const reader = await open([await device.createContainer()], { from: fast });
    await reader.during(350);
    expect(reader.comments).toBeGreaterThanOrEqual(2);
    await reader.close();
  });

  test("a client that leaves is forgotten", async () => {
    const before = fast.services.liveChanges.openCount();
    const reader = await open([await device.createContainer()], { from: fast });
    expect(fast.services.liveChanges.openCount()).toBe(before + 1);
    await reader.close();
    expect(fast.services.liveChanges.openCount()).toBe(before);
  });

  test("P11: a server that stops ends its streams", async () => {
    const stopping = await startFastServer();
    const reader = await open([await device.createContainer()], { from: stopping });
    await stopping.stop();
    expect((await reader.during(1_000)).hasEnded).toBe(true);
  });

  test("P11: a server that stops opens no stream, which nobody would end", async () => {
    const stopping = await startFastServer();
    await stopping.services.liveChanges.stop();
    const refused = await request([await device.createContainer()], { from: stopping });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(stopping.services.liveChanges.openCount()).toBe(0);
    await stopping.stop();
  });
});

describe("new-messages.md, live changes: what is refused", () => {
  test("token rules as for reading containers", async () => {
    const box = await device.createContainer();
    const foreign = box.freshToken(1);
    expect(await errorOf(await request([], {}))).toBe("TOKEN_MISSING");
    expect(await errorOf(await request([], { by: "POST" }))).toBe("TOKEN_MISSING");
    expect(await errorOf(await request([], { tokens: ["garbage"] }))).toBe("INCORRECT_CREDENTIAL");
    expect(await errorOf(await request([], { tokens: ["garbage"], by: "POST" }))).toBe("INCORRECTLY_FORMED");
    expect(await errorOf(await request([], { tokens: [foreign] }))).toBe("TOKEN_EXPIRED");
    expect(await errorOf(await request([], { tokens: Array(51).fill(box.token()) }))).toBe("TOO_MANY_REQUESTED");
    await server.db`delete from container_access_keys where key_id = ${box.key_id}`;
    expect(await errorOf(await request([], { tokens: [box.freshToken()] }))).toBe("CONTAINER_DOES_NOT_EXIST");
  });

  test("a key that was removed a moment ago, whose token this process knows, opens no stream", async () => {
    const [box, kept] = [await device.createContainer(), await device.createContainer()];
    await device.read(box);
    await server.db`delete from container_access_keys where key_id = ${box.key_id}`;
    const before = server.services.liveChanges.openCount();
    expect(await errorOf(await request([kept, box]))).toBe("CONTAINER_DOES_NOT_EXIST");
    expect(server.services.liveChanges.openCount()).toBe(before);
  });

  test("an account has a limited number of streams, and a process too", async () => {
    const few = await startTestServer({ ENTRIES_MAX_STREAMS_PER_USER: "2", ENTRIES_MAX_STREAMS: "3" }, server.database);
    try {
      const box = await device.createContainer();
      const mine = [await open([box], { from: few }), await open([box], { from: few })];
      expect(await errorOf(await request([box], { from: few }))).toBe("TOO_MANY_REQUESTED");
      const ben = await server.signUp();
      await open([box], { from: few, who: ben });
      const refused = await request([box], { from: few, who: ben });
      expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "60"]);
      await mine[0]?.close();
      expect((await request([box], { from: few })).status).toBe(200);
    } finally {
      await few.stop();
    }
  });
});
