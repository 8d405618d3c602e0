/** C7 over real sockets: slow readers and many idle streams. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createApp } from "../../src/app.ts";
import { followChanges } from "../../src/events/liveChanges.ts";
import { EventStream } from "../../src/events/stream.ts";
import type { Box, Device } from "../support/client.ts";
import { Client } from "../support/client.ts";
import { makeFolder, removeFolder, ServerProcess } from "../support/executable.ts";
import { Outbox, signUp } from "../support/outbox.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { UNLIMITED } from "../support/socket.ts";

const STREAMS = 1_000;
/** Opened before the memory is looked at. */
const WARM_UP = 50;
const MIB = 1024 * 1024;

const IDLE_SECS = 4;
/** A stream may be silent for twice as long; the runtime looks every 4 s. */
const CUT_LIMIT_MS = 14_000;
const OFTEN = { tellHereEveryMs: 1, tellEveryMs: 50, lookEveryMs: 50, recheckEveryMs: 100, heartbeatEveryMs: 500 };

function requestOf(device: Device, boxes: readonly Box[]): string {
  const lines = [
    "GET /api/container/events HTTP/1.1",
    "host: localhost",
    `x-access-token: ${device.accessToken}`,
    `x-container-access-token: ${boxes.map((box) => box.token()).join(",")}`,
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** Opens a stream and waits for the first event. */
async function openStream(port: number, device: Device, boxes: readonly Box[]): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  const opened = untilText(socket, "event: change");
  socket.write(requestOf(device, boxes));
  await opened;
  return socket;
}

/** Waits for a text in what comes from now on. @throws Error when the connection closes or another answer comes */
function untilText(socket: Socket, wanted: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let text = "";
  const take = (chunk: Buffer) => {
    text += chunk;
    if (text.includes(wanted)) resolve();
  };
  const fail = () => reject(new Error(`instead of ${wanted} came ${text}`));
  const limit = setTimeout(fail, 10_000);
  socket.on("data", take).on("close", fail).on("error", fail);
  return promise.finally(() => {
    clearTimeout(limit);
    socket.off("data", take).off("close", fail);
  });
}

async function closing(socket: Socket): Promise<"closed"> {
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  return "closed";
}

async function until(isTrue: () => boolean, limitMs = 5_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error("it never came to that");
    await Bun.sleep(5);
  }
}

/** Makes everybody wait who reads how far containers have come. @returns lets them go on */
async function lockHeads({ db }: TestServer): Promise<() => Promise<void>> {
  const [locked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = db.begin(async (transaction) => {
    await transaction`lock table container_heads in access exclusive mode`;
    locked.resolve();
    await released.promise;
  });
  await locked.promise;
  return async () => {
    released.resolve();
    await holding;
  };
}

describe("C7: slow readers are dropped, not buffered without bound", () => {
  /** A stream on one container, and whether it has ended. */
  function makeStream() {
    const watch = { container_id: crypto.randomUUID(), keys: [], cursor: 0n };
    const owner = { user_id: "", session_id: undefined, expirationSecs: 0 };
    const state = { isEnded: false };
    const stream = new EventStream(owner, new Map([[watch.container_id, watch]]), () => {
      state.isEnded = true;
    });
    return { state, stream, tell: (cursor: number) => stream.tellChange(watch, BigInt(cursor)) };
  }

  test("a stream that nobody reads ends after 64 KiB", () => {
    const { state, tell } = makeStream();
    let events = 0;
    while (!state.isEnded && events < 10_000) tell(++events);
    expect(state.isEnded).toBe(true);
    expect(events * 90).toBeLessThan(70 * 1024);
  });

  test("a client that stops reading loses its connection, and the others go on", async () => {
    const [slow, quick] = [makeStream(), makeStream()];
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      idleTimeout: 2 * IDLE_SECS,
      fetch: ({ url }) => new Response((url.endsWith("/slow") ? slow : quick).stream.body),
    });
    const [slowSocket, quickSocket] = ["slow", "quick"].map((name) => {
      const socket = connect({ port: server.port ?? 0, host: "127.0.0.1" });
      socket.write(`GET /${name} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
      return socket;
    }) as [Socket, Socket];
    slow.tell(1);
    await new Promise((resolve) => slowSocket.once("data", resolve));
    slowSocket.on("error", () => {}).pause();
    let read = 0;
    quickSocket.on("data", (chunk: Buffer) => {
      read += chunk.length;
    });
    // The system's own buffers hold some megabytes before the stream notices.
    let cursor = 1;
    while (!slow.state.isEnded && read < 40 * MIB) {
      for (let event = 0; event < 100; event++, cursor++) for (const one of [slow, quick]) one.tell(cursor);
      await Bun.sleep(0);
    }
    expect([slow.state.isEnded, quick.state.isEnded]).toEqual([true, false]);
    expect(read).toBeGreaterThan(100_000);
    const isCut = until(() => server.pendingRequests === 1, CUT_LIMIT_MS); // nobody has to read what waits
    const telling = setInterval(() => quick.tell(++cursor), 500);
    await isCut.finally(() => clearInterval(telling));
    for (const socket of [slowSocket, quickSocket]) socket.destroy();
    await server.stop(true);
  }, 30_000);
});

describe("C7, W16: connections of streams", () => {
  let server: TestServer;
  let device: Device;
  let app: ReturnType<typeof createApp>;
  let port: number;
  beforeAll(async () => {
    server = await startTestServer();
    await server.services.liveChanges.stop();
    server.services.liveChanges = await followChanges(server.services, OFTEN);
    device = await server.signUp();
    app = createApp(server.services, IDLE_SECS).listen({ port: 0, hostname: "127.0.0.1" });
    port = app.server?.port ?? 0;
  });
  afterAll(async () => {
    await app.server?.stop(true);
    await server.stop();
  });

  test("a connection takes another request after its stream has ended, and is cut when it stays silent", async () => {
    const [box, other] = [await device.createContainer(), await device.createContainer()];
    const [reused, silent] = [await openStream(port, device, [box]), await openStream(port, device, [box])];
    const kept = await openStream(port, device, [other]); // by heartbeats
    const ended = [untilText(reused, "0\r\n\r\n"), untilText(silent, "0\r\n\r\n")];
    await server.db`delete from container_access_keys where key_id = ${box.key_id}`;
    await Promise.all(ended);
    const answered = untilText(reused, "HTTP/1.1 200");
    reused.write("GET /api/heartbeat HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await answered;
    expect(await Promise.race([closing(silent), Bun.sleep(CUT_LIMIT_MS)])).toBe("closed");
    expect([kept.closed, server.services.liveChanges.openCount()]).toEqual([false, 1]);
    for (const socket of [reused, kept]) socket.destroy();
  }, 20_000);

  test("clients that leave while streams open and while events are written are forgotten", async () => {
    const box = await device.createContainer();
    await device.read(box);
    const release = await lockHeads(server);
    const leaving = Array.from({ length: 10 }, () => connect({ port, host: "127.0.0.1" }));
    for (const socket of leaving) socket.write(requestOf(device, [box]));
    await until(() => server.services.liveChanges.openCount() === 10);
    for (const socket of leaving) socket.destroy();
    await release();
    await until(() => server.services.liveChanges.openCount() === 0);

    const open = await Promise.all(Array.from({ length: 10 }, () => openStream(port, device, [box])));
    for (const [index, socket] of open.entries()) {
      await device.createEntry(box);
      if (index % 2 === 0) socket.destroy();
      else socket.resetAndDestroy();
    }
    await until(() => server.services.liveChanges.openCount() === 0);
  }, 20_000);

  test("W18: HEAD opens no stream", async () => {
    const socket = connect({ port, host: "127.0.0.1" });
    const answered = untilText(socket, "HTTP/1.1 405");
    socket.write(requestOf(device, [await device.createContainer()]).replace("GET", "HEAD"));
    await answered;
    expect(server.services.liveChanges.openCount()).toBe(0);
    socket.destroy();
  });
});

describe("C7: idle streams", () => {
  test(`${STREAMS} cost at most 64 MiB`, async () => {
    const folder = await makeFolder("entries-streams-");
    const env = { ...UNLIMITED, ENTRIES_MAX_STREAMS_PER_USER: String(STREAMS + WARM_UP) };
    const main = join(import.meta.dir, "../../src/main.ts");
    const server = new ServerProcess([process.execPath, main, "--port", "0"], { cwd: folder, env });
    const sockets: Socket[] = [];
    try {
      const base = await server.listening();
      const api = new Client((request) => fetch(request), "protobuf", base);
      const { device } = await signUp(api, new Outbox(join(folder, "entries-data")));
      const box = await device.createContainer();
      const port = Number(new URL(base).port);
      for (let count = 0; count < WARM_UP; count++) sockets.push(await openStream(port, device, [box])); // warm
      const before = residentBytes(server.pid);
      while (sockets.length < STREAMS + WARM_UP) {
        const batch = Array.from({ length: 50 }, () => openStream(port, device, [box]));
        sockets.push(...(await Promise.all(batch)));
      }
      const grownMib = (residentBytes(server.pid) - before) / MIB;
      expect(grownMib).toBeLessThan(64);
    } finally {
      for (const socket of sockets) socket.destroy();
      await server.end();
      await removeFolder(folder);
    }
  }, 60_000);
});

function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) * 1024;
}
