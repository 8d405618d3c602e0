/** What systemd is told over NOTIFY_SOCKET (sd_notify(3)), received by a real unix datagram socket. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { monotonicMicros } from "../../src/db/libc.ts";
import { createLog } from "../../src/log.ts";
import { createServiceManager } from "../../src/run/serviceManager.ts";
import { atEnd, setUpBinary, start } from "../support/binarySetup.ts";
import { makeFolder, removeFolder } from "../support/executable.ts";
import { DatagramSocket } from "./datagrams.ts";
import { exchangeableCertificate } from "./listening.ts";

setUpBinary();

let folder: string;
let count = 0;
beforeAll(async () => {
  folder = await makeFolder("entries-notify-");
});
afterAll(() => removeFolder(folder));

/** A socket of either kind, closed after the test. */
function open(kind: "file" | "abstract" = "file"): { socket: DatagramSocket; path: string } {
  const name = `entries-test-${process.pid}-${++count}`;
  const path = kind === "file" ? join(folder, name) : `@${name}`;
  const socket = new DatagramSocket(path);
  atEnd(() => socket.close());
  return { socket, path };
}

const serveWith = (env: Record<string, string>, args: string[] = []) => start(["--port", "0", ...args], { env });

describe("sd_notify", () => {
  for (const kind of ["file", "abstract"] as const) {
    test(`READY=1 when it listens, STOPPING=1 when it is told to stop (${kind} socket)`, async () => {
      const { socket, path } = open(kind);
      const server = serveWith({ NOTIFY_SOCKET: path });
      expect(await socket.next()).toBe("READY=1");
      expect((await fetch(`${await server.listening()}/api/heartbeat`)).status).toBe(200);
      expect(await server.stop()).toBe(0);
      expect(socket.rest()).toEqual(["STOPPING=1"]);
    });
  }

  test("nothing when it cannot start", async () => {
    const { socket, path } = open();
    const server = serveWith({ NOTIFY_SOCKET: path, ENTRIES_GET_BODY_PORT: "1", ENTRIES_BIND_ADDRESS: "192.0.2.1" });
    expect(await server.exited).toBe(1);
    expect(socket.rest()).toEqual([]);
  });

  test("a reload is told with the system's monotonic clock, and READY=1 again", async () => {
    const { socket, path } = open();
    const server = serveWith({ NOTIFY_SOCKET: path, ...exchangeableCertificate(folder).env });
    expect(await socket.next()).toBe("READY=1");
    const before = monotonicMicros();
    await server.listening();
    server.signal("SIGHUP");
    const [first = "", second = ""] = (await socket.next()).split("\n");
    expect(first).toBe("RELOADING=1");
    const at = BigInt(/^MONOTONIC_USEC=(\d+)$/.exec(second)?.[1] ?? "0");
    expect(at >= before && at <= monotonicMicros()).toBe(true);
    expect(await socket.next()).toBe("READY=1");
    expect(await server.stop()).toBe(0);
  });

  test("the watchdog hears of a living process twice per period, and of one that hangs nothing", async () => {
    const { socket, path } = open();
    const server = serveWith({ NOTIFY_SOCKET: path, WATCHDOG_USEC: "200000" });
    await server.listening();
    for (let beat = 0; beat < 5; beat++) while ((await socket.next()) !== "WATCHDOG=1");
    server.signal("SIGSTOP");
    await Bun.sleep(100);
    socket.rest();
    await Bun.sleep(500);
    expect(socket.rest()).toEqual([]);
    server.signal("SIGCONT");
    while ((await socket.next()) !== "WATCHDOG=1");
    expect(await server.stop()).toBe(0);
  });

  test("a watchdog of another process is not answered", async () => {
    const { socket, path } = open();
    const server = serveWith({ NOTIFY_SOCKET: path, WATCHDOG_USEC: "100000", WATCHDOG_PID: "1" });
    await server.listening();
    await Bun.sleep(300);
    expect(await server.stop()).toBe(0);
    expect(socket.rest()).toEqual(["READY=1", "STOPPING=1"]);
  });

  test("with workers only the parent talks, when all of them listen", async () => {
    const { socket, path } = open();
    const server = serveWith({ NOTIFY_SOCKET: path }, ["--workers", "2"]);
    await server.listening();
    expect(await server.stop()).toBe(0);
    expect(socket.rest()).toEqual(["READY=1", "STOPPING=1"]);
  });

  test("a socket that is gone is told in the log and harms nothing", async () => {
    const server = serveWith({ NOTIFY_SOCKET: join(folder, "nobody") });
    expect(await server.logged("systemd cannot be told")).toMatchObject({ level: "warn" });
    expect((await fetch(`${await server.listening()}/api/heartbeat`)).status).toBe(200);
    expect(await server.stop()).toBe(0);
  });

  test("without NOTIFY_SOCKET, or with one that is no path, nothing is said anywhere", () => {
    const lines: string[] = [];
    const log = createLog("debug", false, (text) => lines.push(text));
    for (const env of [{}, { NOTIFY_SOCKET: "" }, { NOTIFY_SOCKET: "vsock:2:3" }]) {
      const manager = createServiceManager(log, { ...env, WATCHDOG_USEC: "100000" });
      manager.ready();
      manager.reloading();
      manager.stopping();
    }
    log.flush();
    expect(lines).toEqual([]);
  });
});
