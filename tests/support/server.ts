/** An app on a database of its own, in the same process, with mail caught in memory and a clock that can be moved. */
import { type App, createApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";
import type { Db } from "../../src/db/query.ts";
import { createLog } from "../../src/log.ts";
import type { Letter, Mailer } from "../../src/mail/mailer.ts";
import type { CompleteConfig } from "../../src/secrets.ts";
import { createServices, type Services } from "../../src/services.ts";
import type { NewUser } from "../../src/user/messages.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { Client, Device, newUser, Refused } from "./client.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { undescribed } from "./describedAnswers.ts";
import { lookThrough } from "./loggedSecrets.ts";

/** Cheap hashing and no rate limits, so that tests are fast; tests of these set them back. */
const TEST_ENVIRONMENT = {
  ENTRIES_DATABASE_URL: "postgres://unused@localhost:5432/unused",
  ENTRIES_TOKEN_SIGNING_KEY_B64: Buffer.alloc(64, 7).toString("base64"),
  ENTRIES_AUTH_STRING_HASH_KEY_B64: Buffer.from(Uint8Array.from({ length: 32 }, (_, index) => index)).toString(
    "base64",
  ),
  ENTRIES_AUTH_STRING_HASH_MEM_COST_KIB: "19456",
  ENTRIES_AUTH_STRING_HASH_ITERATIONS: "2",
};

export interface TestServer {
  app: App;
  services: Services;
  db: Db;
  database: TestDatabase;
  /** Every letter that was sent, oldest first. */
  letters: Letter[];
  /** Every line that was logged. */
  logLines: string[];
  clock: { aheadMs: number };
  client(encoding?: Encoding): Client;
  /** The newest passcode that was mailed to an address. */
  otpFor(address: string): string;
  /** A new, verified account on its first device. */
  signUp(user?: NewUser, encoding?: Encoding): Promise<Device & { user: NewUser }>;
  /** Closes its connections to the database. */
  stop(): Promise<void>;
}

/** @param environment further variables, as an operator would set them */
export async function startTestServer(
  environment: Record<string, string> = {},
  sharedDatabase?: TestDatabase,
): Promise<TestServer> {
  const database = sharedDatabase ?? (await createTestDatabase());
  const db = sharedDatabase ? sharedDatabase.connect() : database.db;
  const loaded = loadConfig({ ...TEST_ENVIRONMENT, ...environment });
  if (!("config" in loaded)) throw new Error(`test configuration: ${loaded.problems.join("; ")}`);
  const logLines: string[] = [];
  const log = createLog("debug", false, (text) => {
    logLines.push(text);
    lookThrough(text);
  });
  const letters: Letter[] = [];
  const clock = { aheadMs: 0 };
  const now = () => Date.now() + clock.aheadMs;
  const services = await createServices(loaded.config as CompleteConfig, db, catchingMailer(letters), log, now);
  const app = describedApp(createApp(services));
  const client = (encoding?: Encoding) => new Client((request) => app.handle(request), encoding);

  function otpFor(address: string): string {
    const letter = letters.findLast(({ to }) => to === address);
    const digits = /(\d{4})\s?(\d{4})/.exec(letter?.text ?? "");
    if (!digits) throw new Error(`no passcode was mailed to ${address}`);
    return `${digits[1]}${digits[2]}`;
  }

  async function signUp(user = newUser(), encoding?: Encoding) {
    const api = client(encoding);
    const created = await api.createUser(user);
    const token = created.value?.value;
    if (!token) throw new Refused("signing up", created.status, created.error?.err_type, created.error?.err_message);
    const session = (await api.verifyOtp(token, otpFor(user.email.toLowerCase()))).value;
    if (!session?.tokens) throw new Error("the passcode was not accepted");
    const device = new Device(api, session.tokens.access_token, session.tokens.refresh_token);
    return Object.assign(device, { user });
  }

  async function stop() {
    await services.liveChanges.stop().catch(() => {});
    await services.revokedSessions.stop().catch(() => {});
    await db.end({ timeout: 1 });
  }

  return { app, services, db, database, letters, logLines, clock, client, otpFor, signUp, stop };
}

/** Each answer that a test gets without a socket must be in the API's description. */
function describedApp(app: App): App {
  const { handle } = app;
  app.handle = async (request) => {
    const answer = await handle(request);
    const complaint = await undescribed(request, answer);
    if (complaint === undefined) return answer;
    throw new Error(`${complaint}: the route's spec should say so, for example in \`errors\``);
  };
  return app;
}

function catchingMailer(letters: Letter[]): Mailer {
  return {
    requireRoom: () => {},
    send: (letter) => {
      letters.push(letter);
    },
    drain: async () => 0,
    stats: () => ({ waiting: 0, sent: letters.length, failed: 0 }),
    close: async () => {},
  };
}
