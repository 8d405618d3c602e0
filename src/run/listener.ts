/** The server's TCP port: opened, told apart from somebody else's, given a new certificate, closed. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { App } from "../app.ts";
import type { Config } from "../config.ts";
import { replaceDescriptor, steerConnections } from "../db/libc.ts";
import type { Log } from "../log.ts";
import { readTlsPair, type TlsPair } from "../settings/tls.ts";

export interface Listener {
  port: number;
  /** Such as https://127.0.0.1:9000. */
  url: string;
  /** Reads the certificate again. A bad one is logged, and the old one stays. Nothing happens without HTTPS. */
  reload(): void;
  /** Takes no new connections; resolves when every request is answered. */
  stop(): Promise<void>;
}

/** How long who has begun to connect to the old listener has for it. */
const ARRIVAL_MS = 1_000;
/**
 * How long connections of the old certificate may go on: each is told with its next answer to come anew. As long as the
 * server keeps an idle connection.
 */
const RETIREMENT_MS = 30_000;

type Server = NonNullable<App["server"]>;

/**
 * Lets the app listen.
 *
 * @param isShared other processes of this server listen on the same port, and see to it that nobody else does
 * @throws Error whose message says what to do about an address that cannot be had, or about a certificate
 */
export function openListener(app: App, config: Config, isShared: boolean, log: Log): Listener {
  const { port: wanted, tls } = config;
  // A new certificate needs a second listener on the port, and so a port that can be shared.
  if (tls && !isShared) requireFreePort(config);
  let server = listen(app, config, wanted, isShared, tls && readTlsPair(tls));
  const port = server.port ?? wanted;
  const retired = new Set<Promise<void>>();
  const stopping = Promise.withResolvers<void>();
  let reloading = Promise.resolve();

  async function reload(): Promise<void> {
    const pair = readCertificateAgain(config, log);
    if (!pair) return;
    const old = server;
    const place = findListener(port);
    try {
      server = listen(app, config, port, isShared, pair);
    } catch (error) {
      logKept(log, error);
      return;
    }
    log.info("certificate reloaded");
    const hasLeft = await leave(old, place, app, stopping.promise);
    const end = (hasLeft ? within(RETIREMENT_MS, stopping.promise) : Promise.resolve())
      .then(() => old.stop())
      .finally(() => retired.delete(end));
    retired.add(end);
  }

  async function stop(): Promise<void> {
    stopping.resolve();
    await reloading;
    await Promise.all([server.stop(), ...retired]);
  }

  const scheme = tls ? "https" : "http";
  return {
    port,
    url: `${scheme}://${hostInUrl(config.bindAddress)}:${port}`,
    reload() {
      reloading = reloading.then(reload); // one after the other
    },
    stop,
  };
}

/**
 * What a reload goes on with. When there is nothing to reload, or nothing that could be used, the log says so.
 *
 * @returns undefined: all stays as it is
 */
export function readCertificateAgain({ tls }: Config, log: Log): TlsPair | undefined {
  if (!tls) {
    log.info("nothing to reload: there is no certificate");
    return undefined;
  }
  try {
    const pair = readTlsPair(tls);
    if (pair.doubt !== undefined) log.warn("doubtful certificate", { message: pair.doubt });
    return pair;
  } catch (error) {
    logKept(log, error);
    return undefined;
  }
}

function logKept(log: Log, error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  log.error("the certificate was not reloaded; the old one stays", { reason });
}

function listen(app: App, config: Config, port: number, isShared: boolean, pair: TlsPair | undefined): Server {
  const { bindAddress: hostname } = config;
  const tls = pair && { cert: pair.cert, key: pair.key };
  try {
    // Elysia would let a second server take the same port and half of the requests, and show strangers our stack traces.
    app.listen({ port, hostname, reusePort: isShared || tls !== undefined, development: false, ...(tls && { tls }) });
  } catch (error) {
    throw explained(error, config);
  }
  process.removeAllListeners("beforeExit"); // Elysia adds one each time, for what `stop` does here
  return app.server as Server;
}

/** @throws Error as openListener, when another program listens on the port of the configuration */
export function requireFreePort(config: Config): void {
  if (config.port === 0) return;
  try {
    const probe = Bun.listen({
      hostname: config.bindAddress,
      port: config.port,
      exclusive: true,
      socket: { data() {} },
    });
    probe.stop(true);
  } catch (error) {
    throw explained(error, config);
  }
}

function explained(error: unknown, { bindAddress, port }: Config): unknown {
  const isUnknownName = error instanceof Error && !("code" in error) && error.message.startsWith("Failed to listen");
  const code = error instanceof Error && "code" in error ? error.code : isUnknownName && "EINVAL";
  const message = typeof code === "string" ? LISTEN_ERRORS[code] : undefined;
  return message ? new Error(`Cannot listen on ${hostInUrl(bindAddress)}:${port}: ${message}`) : error;
}

const LISTEN_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there. Stop it, or choose another port with --port or ENTRIES_PORT.",
  EADDRNOTAVAIL: "this machine does not have that address. Correct ENTRIES_BIND_ADDRESS.",
  EINVAL: "that is no address of this machine. Correct ENTRIES_BIND_ADDRESS.",
  EACCES: "this user may not use that port. Choose one above 1023 with --port or ENTRIES_PORT.",
};

/** An address as it stands in a URL: IPv6 in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/**
 * Lets a server go on with its connections alone, since another one on the same port has taken its place. Bun's `stop`
 * would cut connections that are just shaking hands or about to send a request.
 *
 * @returns false when the system does not allow it
 */
async function leave(
  old: Server,
  place: ListenerPlace | undefined,
  app: App,
  stopping: Promise<void>,
): Promise<boolean> {
  old.reload({
    routes: {},
    async fetch(request) {
      const response = await app.fetch(request);
      response.headers.set("connection", "close");
      return response;
    },
  });
  if (!place || !steerAway(place)) return false;
  await within(ARRIVAL_MS, stopping);
  closeBelow(place.descriptor);
  return true;
}

/** Waits, but not longer than until the stop. */
function within(limitMs: number, stopping: Promise<void>): Promise<void> {
  return Promise.race([Bun.sleep(limitMs), stopping]);
}

/** @returns false when the system cannot do that */
function steerAway({ descriptor, count }: ListenerPlace): boolean {
  try {
    steerConnections(descriptor, count);
    return true;
  } catch {
    return false;
  }
}

/** Closes a socket of Bun's, which goes on as if it were open. */
function closeBelow(descriptor: number): void {
  const silent = openSync("/dev/null", "r");
  replaceDescriptor(descriptor, silent);
  closeSync(silent);
}

/** Where a process listens, found before its next listener opens. */
interface ListenerPlace {
  descriptor: number;
  /** Of sockets that listen on the port, those of other workers included: the index of the next one among them. */
  count: number;
}

const LISTENING = "0A";

/** Undefined when this process does not have exactly one listener on the port that takes connections, or no /proc. */
function findListener(port: number): ListenerPlace | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  try {
    const rows = ["tcp", "tcp6"].flatMap((table) => readFileSync(`/proc/self/net/${table}`, "utf8").split("\n"));
    const sockets = rows
      .map((row) => row.trim().split(/\s+/))
      .filter((fields) => fields[1]?.endsWith(suffix) && fields[3] === LISTENING)
      .map((fields) => `socket:[${fields[9]}]`);
    const found = readdirSync("/proc/self/fd").filter((name) => sockets.includes(targetOf(name)));
    return found.length === 1 ? { descriptor: Number(found[0]), count: sockets.length } : undefined;
  } catch {
    return undefined;
  }
}

function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return ""; // the one that the directory was read with
  }
}
