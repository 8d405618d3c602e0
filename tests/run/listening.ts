/** What the tests of the running server share: certificates, processes below a server, and clients of HTTPS. */
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { request as plainRequest } from "node:http";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { connect } from "node:tls";

const CERTIFICATES = join(import.meta.dir, "../mail/certificates");

export type CertificateName = "localhost" | "elsewhere";

/** A file with a certificate and its key. */
export function certificateFile(name: CertificateName): string {
  return join(CERTIFICATES, `test-only-${name}.pem`);
}

/** Files that can be exchanged under a running server, and the environment that names them. */
export function exchangeableCertificate(folder: string) {
  const file = join(folder, "pair.pem");
  const put = (name: CertificateName) => copyFileSync(certificateFile(name), file);
  put("localhost");
  return { file, put, env: { ENTRIES_TLS_CERT_FILE: file, ENTRIES_TLS_KEY_FILE: file } };
}

const trustingAll = { rejectUnauthorized: false };

/** Makes a new connection. @returns the name in the certificate that it is shown */
export function certificateNameAt(url: string): Promise<string | undefined> {
  const { port, hostname } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const socket = connect({ port: Number(port), host: hostname, ...trustingAll }, () => {
    resolve(/only (\w+)$/.exec(String(socket.getPeerCertificate().subject?.CN))?.[1]);
    socket.destroy();
  });
  socket.on("error", reject);
  return promise;
}

/** @param agent of connections that are kept; without one the connection is new */
export function heartbeatStatus(url: string, agent?: Agent): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const call = request(`${url}/api/heartbeat`, { agent: agent ?? false, ...trustingAll }, (response) => {
    response.resume();
    response.on("end", () => resolve(response.statusCode ?? 0));
  });
  call.on("error", reject);
  call.end();
  return promise;
}

/** A request that is under way, since half of its body has not been sent. The server has its first half. */
export async function heldRequest(url: string): Promise<{ status: Promise<number>; finish(): void }> {
  const { promise: status, resolve, reject } = Promise.withResolvers<number>();
  const headers = { "content-type": "application/json", "content-length": 100_000 };
  const start = url.startsWith("https:") ? request : plainRequest;
  const options = { method: "POST", headers, agent: false as const, ...trustingAll };
  const call = start(`${url}/api/auth/sign-in`, options, (response) => {
    response.resume();
    resolve(response.statusCode ?? 0);
  });
  call.on("error", reject);
  status.catch(() => {});
  await new Promise<void>((written) => call.write(" ".repeat(50_000), () => written()));
  await Bun.sleep(300); // until it is in the handler
  return { status, finish: () => call.end(" ".repeat(50_000)) };
}

/** Asks over and over, on connections that are kept or on a new one each time, until it is told to stop. */
export function keepAsking(
  url: string,
  clients: number,
  keepAlive = true,
): { stop(): Promise<{ answered: number; failed: unknown[] }> } {
  const agent = keepAlive ? new Agent({ keepAlive, maxSockets: clients }) : undefined;
  const failed: unknown[] = [];
  let answered = 0;
  let isOver = false;
  async function ask(): Promise<void> {
    while (!isOver) {
      await heartbeatStatus(url, agent).then(
        () => answered++,
        (error) => failed.push(error),
      );
    }
  }
  const all = Promise.all(Array.from({ length: clients }, ask));
  return {
    async stop() {
      isOver = true;
      await all;
      agent?.destroy();
      return { answered, failed };
    },
  };
}

/** The processes of this program right below another one. */
export function workersBelow(pid: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => parentOf(child) === pid && commandOf(child).includes("entries-server"))
    .filter((child) => !commandOf(child).includes("entries-guard"));
}

function parentOf(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat === "" ? undefined : Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

function commandOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it has ended
  }
}

/** Waits until something holds. @throws Error after ten seconds */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`this never came true: ${holds}`);
    await Bun.sleep(20);
  }
}
