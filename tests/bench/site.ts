/** Where the benchmark happens: a folder of its own, the server's settings, and people with accounts. */
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, newUser, Refused } from "../support/client.ts";
import type { Account } from "./load.ts";
import { type ServerProcess, startServer } from "./serverProcess.ts";

export interface Site {
  executable: string;
  directory: string;
  logFile: string;
  /** Starts the server on its embedded database. @param name of the data directory */
  start(name: string): Promise<ServerProcess>;
  dataDir(name: string): string;
}

/** Connections of the server to its database; also its default. */
export const POOLED_CONNECTIONS = 10;

const NO_LIMIT = "1000000000";
/** One client makes all the requests, so rate limits would be all that is measured. The rest is as it comes. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  ENTRIES_DB_MAX_CONNECTIONS: String(POOLED_CONNECTIONS),
  ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000",
  ...Object.fromEntries(
    ["CREATE", "READ", "MODIFY", "EXPENSIVE_AUTH", "LIGHT_AUTH"].flatMap((limitClass) => [
      [`ENTRIES_${limitClass}_FAIR_USE_LIMITER_MAX_PER_PERIOD`, NO_LIMIT],
      [`ENTRIES_${limitClass}_CIRCUIT_BREAKER_LIMITER_MAX_PER_PERIOD`, NO_LIMIT],
    ]),
  ),
};

/** Makes an empty folder for the run. PostgreSQL, which may run as another user, has to pass through it. */
export function makeWorkDirectory(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "entries-bench-"));
  chmodSync(path, 0o711);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function siteAt(directory: string, executable: string): Site {
  const logFile = join(directory, "server.log");
  const dataDir = (name: string) => join(directory, name);
  return {
    executable,
    directory,
    logFile,
    dataDir,
    start: (name) => startServer(executable, [`--data-dir=${dataDir(name)}`], ENVIRONMENT, logFile),
  };
}

const MAIL_LIMIT_MS = 10_000;

/** Signs somebody up and in. @param dataDir of the server, where its mails are files */
export async function signUp(port: number, dataDir: string): Promise<Account & { accessToken: string }> {
  const client = new Client((request) => fetch(request), "protobuf", `http://127.0.0.1:${port}`);
  const user = newUser({ auth_string: randomBytes(32) });
  const created = await client.createUser(user);
  if (!created.value) {
    throw new Refused("a sign-up", created.status, created.error?.err_type, created.error?.err_message);
  }
  const session = await client.verifyOtp(created.value.value, await readPasscode(join(dataDir, "outbox"), user.email));
  if (!session.value?.tokens) throw new Error("the passcode was not accepted");
  return { email: user.email, auth_string: user.auth_string, accessToken: session.value.tokens.access_token };
}

async function readPasscode(outbox: string, email: string): Promise<string> {
  const deadline = performance.now() + MAIL_LIMIT_MS;
  while (performance.now() < deadline) {
    const mails = readdirSync(outbox).filter((name) => name.endsWith(".eml"));
    const texts = mails.map((name) => readFileSync(join(outbox, name), "utf8"));
    const digits = /^ {4}(\d{4}) (\d{4})\r?$/m.exec(texts.find((text) => text.includes(email)) ?? "");
    if (digits) return `${digits[1]}${digits[2]}`;
    await Bun.sleep(10);
  }
  throw new Error(`no passcode came for ${email}`);
}
