/** A stand-in for a database server that goes away and comes back: it passes bytes on to the real one, or refuses. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectDatabase, type DatabaseAddress } from "../../src/db/connect.ts";
import { silentLog } from "../../src/log.ts";
import { POOL, type TestDatabase } from "./database.ts";

export interface DatabaseProxy {
  /** The database as it is reached through the proxy. */
  database: TestDatabase;
  /** Ends every connection and refuses new ones. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  /** Takes and passes on nothing any more, on old connections and new ones, without closing any. */
  stall(): void;
  /** Passes on what was held back, and everything else. */
  flow(): void;
  /** Stalls for ever what is connected now, as a failover does; new connections are fine. */
  strand(): void;
  stop(): Promise<void>;
}

export async function startDatabaseProxy(real: TestDatabase): Promise<DatabaseProxy> {
  const directory = mkdtempSync(join(tmpdir(), "entries-proxy-"));
  const open = new Set<Socket>();
  const pairs = new Set<readonly [Socket, Socket]>();
  let isStalled = false;
  const server = createServer((client) => {
    const upstream = connect(targetOf(real.address));
    const pair = [client, upstream] as const;
    pairs.add(pair);
    client.on("close", () => pairs.delete(pair));
    for (const [socket, peer] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(socket);
      socket.pipe(peer);
      socket.on("error", () => peer.destroy());
      socket.on("close", () => {
        open.delete(socket);
        peer.destroy();
      });
    }
    if (isStalled) hold(pair);
  });

  function hold([client, upstream]: readonly [Socket, Socket]): void {
    client.unpipe(upstream).pause();
    upstream.unpipe(client).pause();
  }

  /** The first time anywhere, then again at the same place. */
  let port = 0;
  const place = () =>
    "url" in real.address ? { host: "127.0.0.1", port } : { path: join(directory, ".s.PGSQL.5432") };
  const listen = () => new Promise<void>((resolve) => server.listen(place(), resolve));
  await listen();
  const bound = server.address();
  if (typeof bound === "object" && bound) port = bound.port;

  async function goAway(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of open) socket.destroy();
    await closed;
  }

  const address = throughProxy(real.address, place());
  const reconnect = () => connectDatabase(address, POOL, silentLog);
  return {
    database: { ...real, address, connect: reconnect },
    goAway,
    comeBack: listen,
    stall() {
      isStalled = true;
      for (const pair of pairs) hold(pair);
    },
    flow() {
      isStalled = false;
      for (const [client, upstream] of pairs) {
        client.pipe(upstream);
        upstream.pipe(client);
      }
    },
    strand() {
      for (const pair of pairs) hold(pair);
      pairs.clear();
    },
    async stop() {
      if (server.listening) await goAway();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function targetOf(address: DatabaseAddress): { path: string } | { host: string; port: number } {
  if (!("url" in address)) return { path: address.socketPath };
  const { hostname, port } = new URL(address.url);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 5432) };
}

function throughProxy(
  address: DatabaseAddress,
  place: { path: string } | { host: string; port: number },
): DatabaseAddress {
  if ("path" in place) return { ...address, socketPath: place.path } as DatabaseAddress;
  const url = new URL("url" in address ? address.url : "");
  url.hostname = place.host;
  url.port = String(place.port);
  return { url: url.href };
}
