/** C7 over real sockets: slow readers and many idle streams. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createApp } from "../../src/app.ts";
import { EventStream } from "../../src/events/stream.ts";
import type { Box, Device } from "../support/client.ts";
import { Client } from "../support/client.ts";
import { makeFolder, removeFolder, ServerProcess } from "../support/executable.ts";
import { Outbox, signUp } from "../support/outbox.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, UNLIMITED } from "../support/socket.ts";

const STREAMS = 1_000;
/** Opened before the memory is looked at. */
const WARM_UP = 50;
const MIB = 1024 * 1024;

/** Opens a stream and waits for the first event. */
function openStream(port: number, device: Device, box: Box): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ port, host: "127.0.0.1" }, () => {
    const lines = [
      "GET /api/container/events HTTP/1.1",
      "host: localhost",
      `x-access-token: ${device.accessToken}`,
      `x-container-access-token: ${box.token()}`,
    ];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  });
  socket.on("error", reject);
  socket.on("data", (chunk) => {
    if (String(chunk).includes("event: change")) resolve(socket);
    if (String(chunk).startsWith("HTTP/1.1 ") && !String(chunk).startsWith("HTTP/1.1 200"))
      reject(new Error(String(chunk)));
  });
  return promise;
}

describe("C7: slow readers are dropped, not buffered without bound", () => {
  let server: TestServer;
  let port: number;
  let stopListening: () => Promise<void>;
  beforeAll(async () => {
    server = await startTestServer();
    ({ port, stop: stopListening } = listen(server));
  });
  afterAll(async () => {
    await stopListening();
    await server.stop();
  });

  test("a stream that nobody reads ends after 64 KiB", () => {
    let isEnded = false;
    const watch = { key_id: "", container_id: crypto.randomUUID(), expirationSecs: 0, cursor: 0n };
    const owner = { user_id: "", session_id: undefined, expirationSecs: 0 };
    const stream = new EventStream(owner, new Map([[watch.container_id, watch]]), () => {
      isEnded = true;
    });
    let events = 0;
    while (!isEnded && events < 10_000) {
      events++;
      stream.tellChange(watch, BigInt(events));
    }
    expect(isEnded).toBe(true);
    expect(events * 90).toBeLessThan(70 * 1024);
  });

  test("a client that stops reading loses its connection, and the others go on", async () => {
    const device = await server.signUp();
    const box = await device.createContainer();
    const [slow, quick] = [await openStream(port, device, box), await openStream(port, device, box)];
    let read = 0;
    quick.on("data", (chunk) => {
      read += chunk.length;
    });
    slow.pause();
    const { liveChanges } = server.services;
    expect(liveChanges.openCount()).toBe(2);
    // The system's own buffers hold some megabytes before the stream notices.
    for (let batch = 0; batch < 2_000 && liveChanges.openCount() === 2; batch++) {
      const payload = Array.from({ length: 100 }, (_, index) => `${box.id} ${1_000 + batch * 100 + index}`).join(",");
      await server.db`select pg_notify('container_changes', ${payload})`;
    }
    expect(liveChanges.openCount()).toBe(1);
    expect(read).toBeGreaterThan(100_000);
    slow.destroy();
    quick.destroy();
  }, 60_000);

  test("a stream outlives the time after which silent connections are cut", async () => {
    const device = await server.signUp();
    const box = await device.createContainer();
    const app = createApp(server.services, 1).listen({ port: 0, hostname: "127.0.0.1" });
    const socket = await openStream(app.server?.port ?? 0, device, box);
    let isClosed = false;
    socket.on("close", () => {
      isClosed = true;
    });
    await Bun.sleep(6_000); // the runtime looks every 4 s
    expect(isClosed).toBe(false);
    socket.destroy();
    await app.server?.stop(true);
  }, 20_000);
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
      for (let count = 0; count < WARM_UP; count++) sockets.push(await openStream(port, device, box)); // warm
      const before = residentBytes(server.pid);
      while (sockets.length < STREAMS + WARM_UP) {
        const batch = Array.from({ length: 50 }, () => openStream(port, device, box));
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
