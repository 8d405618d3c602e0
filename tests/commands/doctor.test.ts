/** `doctor`: what it finds, how it says so, and that nothing makes it hang or tell a secret. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Finding, runCheck } from "../../src/commands/doctor/check.ts";
import {
  checkClock,
  checkConnections,
  checkDatabase,
  checkSchema,
  checkVersion,
} from "../../src/commands/doctor/database.ts";
import { checkDataDirectory } from "../../src/commands/doctor/dataDirectory.ts";
import { examine } from "../../src/commands/doctor/doctor.ts";
import { checkMail } from "../../src/commands/doctor/mail.ts";
import { checkAddress, checkPort } from "../../src/commands/doctor/network.ts";
import { checkSecrets } from "../../src/commands/doctor/secrets.ts";
import { type Config, loadConfig } from "../../src/config.ts";
import { connectDatabase } from "../../src/db/connect.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/db/embedded.ts";
import { MIGRATIONS, migrate } from "../../src/db/migrate.ts";
import type { Db } from "../../src/db/query.ts";
import { silentLog } from "../../src/log.ts";
import { caFile, type RelayOptions, startRelay } from "../mail/mailRelay.ts";
import { POOL } from "../support/database.ts";

const UNPACKED = join(import.meta.dir, "../../node_modules/.cache/entries-server");
const PASSWORD = "correct-horse-battery-staple";

let base = "";
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "entries-doctor-"));
  chmodSync(base, 0o755);
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of cleanUps.splice(0)) await run();
});

let folders = 0;
function newFolder(): string {
  const path = join(base, `folder-${++folders}`);
  mkdirSync(path);
  return path;
}

function configOf(env: Record<string, string> = {}): Config {
  const loaded = loadConfig({ ENTRIES_DATA_DIR: join(base, "missing"), ENTRIES_PORT: "0", ...env });
  if (!("config" in loaded)) throw new Error(loaded.problems.join("; "));
  return loaded.config;
}

const EXTERNAL = {
  ENTRIES_TOKEN_SIGNING_KEY_B64: Buffer.from(Uint8Array.from({ length: 64 }, (_, at) => at)).toString("base64"),
  ENTRIES_AUTH_STRING_HASH_KEY_B64: Buffer.from(Uint8Array.from({ length: 32 }, (_, at) => at)).toString("base64"),
};

const levels = (findings: readonly Finding[]) => findings.map(({ level }) => level);
const textOf = (findings: readonly Finding[]) => findings.map(({ level, text }) => `${level}: ${text}`).join("\n");

/** Takes connections and never says a word. @returns its port */
async function startSilentServer(): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

describe("issue 6.7: a check", () => {
  test("that throws is a problem, and so is one that takes too long; neither stops the others", async () => {
    const thrown = await runCheck({ name: "x", run: () => Promise.reject(new Error("broken")) });
    expect(thrown).toEqual([{ level: "problem", text: "broken" }]);
    const stuck = await runCheck({ name: "x", run: () => new Promise(() => {}) }, 20);
    expect(stuck).toEqual([{ level: "problem", text: "no answer within 0.02 s. Is it stuck, or out of reach?" }]);
  });

  test("runs beside the others: a silent relay and a silent database together cost the time of one, and no secret", async () => {
    const port = await startSilentServer();
    const config = configOf({
      ...EXTERNAL,
      ENTRIES_DATABASE_URL: `postgres://someone:${PASSWORD}@127.0.0.1:${port}/entries`,
      ENTRIES_SMTP_ADDRESS: "127.0.0.1",
      ENTRIES_SMTP_PORT: String(port),
      ENTRIES_SMTP_USERNAME: "someone",
      ENTRIES_SMTP_PASSWORD: PASSWORD,
      ENTRIES_EMAIL_FROM_ADDR: "entries@example.org",
    });
    const startedAt = performance.now();
    const diagnoses = await examine(config, { warnings: ["doubtful"], ignored: [] });
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    const problems = diagnoses.filter(({ level }) => level === "problem").map(({ check }) => check);
    expect(problems.sort()).toEqual(["database", "mail"]);
    expect(diagnoses[0]).toEqual({ check: "configuration", level: "warning", text: "doubtful" });
    expect(JSON.stringify(diagnoses)).not.toContain(PASSWORD);
  }, 40_000);
});

describe("issue 6.7: the database", () => {
  let embedded: EmbeddedPostgres;
  let db: Db;
  let config: Config;
  beforeAll(async () => {
    const dataDir = newFolder();
    config = configOf({ ENTRIES_DATA_DIR: dataDir });
    embedded = await startEmbeddedPostgres({ dataDir, unpackRoot: UNPACKED, durable: false, log: silentLog });
    db = connectDatabase(embedded.connection, POOL, silentLog);
    await migrate(db, silentLog);
  });
  afterAll(async () => {
    await db.end();
    await embedded.stop();
  });

  async function look(of = config) {
    const facts = Promise.withResolvers<{ hasAccounts: boolean | undefined }>();
    const findings = await checkDatabase(of, facts);
    return { findings, text: textOf(findings), facts: await facts.promise };
  }

  test("run by a server is used through that server; the process is named", async () => {
    const { text, facts } = await look();
    expect(text).toContain(`is run by the server with process id ${process.pid}.`);
    expect(text).toContain("ok: PostgreSQL 18.");
    expect(text).toContain(`ok: schema version ${MIGRATIONS.length}, up to date.`);
    expect(text).toContain("ok: its clock and this machine's agree.");
    expect(text).toContain("warning: fsync is off");
    expect(text).not.toContain("problem");
    expect(facts.hasAccounts).toBe(false);
    expect((await db`select 1 as alive`)[0]?.alive).toBe(1);
  });

  test("that may be asked for more connections than it has is a warning; the embedded one has what its server needs", async () => {
    const findings = (databaseConnectionsMax: number) => checkConnections({ databaseConnectionsMax }, 97);
    expect(findings(94)).toEqual([]);
    expect(textOf(findings(95))).toStartWith("warning: a server may open 98 connections, but it takes 97.");
    const { text } = await look({ ...config, databaseConnectionsMax: 100 });
    expect(text).not.toContain("connections, but");
  });

  test("of an older or newer schema is told so, and nothing is asked that it does not have", async () => {
    await db`insert into schema_migrations (version, name) values (99, 'future')`;
    expect(await look()).toMatchObject({
      text: expect.stringContaining("problem: schema version 99 is newer"),
      facts: { hasAccounts: undefined },
    });
    await db`delete from schema_migrations where version > 1`;
    expect((await look()).text).toContain("warning: schema version 1; the next start");
    await db`insert into schema_migrations (version, name) select n, 'x' from generate_series(2, ${MIGRATIONS.length}::int) as n`;
    expect((await look()).text).toContain("up to date");
  });

  test("of others' rights, of another version or with another clock", () => {
    expect(checkSchema(0, false)).toMatchObject({ level: "problem", text: expect.stringContaining("grant create") });
    expect(checkVersion(140_012)).toMatchObject({
      level: "problem",
      text: expect.stringContaining("PostgreSQL 14.12"),
    });
    expect(checkVersion(150_000).level).toBe("ok");
    const SECOND = 1_000_000;
    const clock = (theirs: number) => checkClock(theirs * SECOND, 1000 * SECOND, 1001 * SECOND);
    expect([998.5, 999, 1000.5, 1002.5].map((theirs) => clock(theirs).level)).toEqual(["ok", "ok", "ok", "ok"]);
    expect([997, 941, 1004, 1060].map((theirs) => clock(theirs).level)).toEqual(Array(4).fill("warning"));
    expect([939, 1062, 0].map((theirs) => clock(theirs).level)).toEqual(Array(3).fill("problem"));
    expect(clock(900).text).toContain("100.0 s apart");
  });

  test("that does not exist yet is fine; a data directory that cannot be one is not", async () => {
    expect(await look(configOf())).toMatchObject({
      findings: [{ level: "ok", text: expect.stringContaining("the first start makes it") }],
      facts: { hasAccounts: false },
    });
    const dataDir = newFolder();
    mkdirSync(join(dataDir, "database"));
    writeFileSync(join(dataDir, "database/PG_VERSION"), "9\n");
    const { findings, text } = await look(configOf({ ENTRIES_DATA_DIR: dataDir }));
    expect(levels(findings)).toEqual(["problem"]);
    expect(text).toContain("was made by PostgreSQL 9");
  });

  test("that takes no connections is a problem that names the settings and not the password", async () => {
    const port = await startSilentServer();
    await cleanUps.pop()?.();
    const url = `postgres://someone:${PASSWORD}@127.0.0.1:${port}/entries`;
    const { text } = await look(configOf({ ...EXTERNAL, ENTRIES_DATABASE_URL: url }));
    expect(text).toStartWith("problem: it does not answer (ECONNREFUSED). Does it run");
    expect(text).toContain("ENTRIES_DATABASE_URL");
    expect(text).not.toContain(PASSWORD);
  }, 20_000);
});

describe("issue 6.7: a database elsewhere", () => {
  test("that cuts the connection, as one does without TLS when sslmode asks for it, is told so", async () => {
    const server = createServer((socket) => socket.once("data", () => socket.end("N")));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cleanUps.push(() => server.close());
    const { port } = server.address() as { port: number };
    const url = `postgres://someone:${PASSWORD}@127.0.0.1:${port}/entries?sslmode=require`;
    const config = configOf({ ...EXTERNAL, ENTRIES_DATABASE_URL: url });
    const findings = await checkDatabase(config, Promise.withResolvers());
    expect(textOf(findings)).toStartWith("problem: it cuts the connection: is it a PostgreSQL, and does it offer TLS");
  });
});

describe("issue 6.7: secrets", () => {
  const facts = (hasAccounts: boolean | undefined) => Promise.resolve({ hasAccounts });
  const NAMES = { "token-signing-key": 64, "auth-string-hash-key": 32 };

  function withSecrets(names: string[]) {
    const dataDir = newFolder();
    const directory = join(dataDir, "secrets");
    mkdirSync(directory, { mode: 0o700 });
    for (const [name, length] of Object.entries(NAMES)) {
      const text = Buffer.from(Uint8Array.from({ length }, (_, at) => at)).toString("base64");
      if (names.includes(name)) writeFileSync(join(directory, name), `${text}\n`, { mode: 0o600 });
    }
    return { directory, config: configOf({ ENTRIES_DATA_DIR: dataDir }) };
  }

  test("are well when there, and not there before the first start", async () => {
    const { config } = withSecrets(Object.keys(NAMES));
    expect(levels(await checkSecrets(config, facts(true)))).toEqual(["ok", "ok"]);
    expect(levels(await checkSecrets(configOf(), facts(false)))).toEqual(["ok", "ok"]);
  });

  test("that others may read, that are damaged or lost are problems", async () => {
    const { config, directory } = withSecrets(Object.keys(NAMES));
    chmodSync(join(directory, "token-signing-key"), 0o640);
    writeFileSync(join(directory, "auth-string-hash-key"), "c2hvcnQ=\n");
    const text = textOf(await checkSecrets(config, facts(true)));
    expect(text).toContain(`problem: others may read ${directory}/token-signing-key. Run chmod 600`);
    expect(text).toContain(`problem: ${directory}/auth-string-hash-key is damaged`);
    expect(text).not.toContain("c2hvcnQ");

    chmodSync(directory, 0o755);
    expect(textOf(await checkSecrets(config, facts(true)))).toContain(`problem: others may look into ${directory}.`);

    const lost = withSecrets(["token-signing-key"]).config;
    expect(levels(await checkSecrets(lost, facts(true)))).toEqual(["ok", "problem"]);
    expect(levels(await checkSecrets(lost, facts(undefined)))).toEqual(["ok", "problem"]);
    expect(levels(await checkSecrets(lost, facts(false)))).toEqual(["ok", "ok"]);
  });

  test("that this user may not see are not called missing", async () => {
    if (process.geteuid?.() === 0) return; // root may look everywhere
    const { config, directory } = withSecrets(Object.keys(NAMES));
    chmodSync(directory, 0o000);
    cleanUps.push(() => chmodSync(directory, 0o700));
    expect(textOf(await checkSecrets(config, facts(undefined)))).toBe(
      `problem: this user may not look into ${directory}. Run this as the user that the server runs as.`,
    );
  });

  test("P2: in a file that a variable names are doubtful when every user may read it", async () => {
    const path = join(newFolder(), "password");
    writeFileSync(path, PASSWORD, { mode: 0o640 });
    process.env.ENTRIES_SMTP_PASSWORD_FILE = path;
    cleanUps.push(() => delete process.env.ENTRIES_SMTP_PASSWORD_FILE);
    const external = configOf({ ...EXTERNAL, ENTRIES_DATABASE_URL: "postgres://a:b@localhost/c" });
    expect(levels(await checkSecrets(external, facts(true)))).toEqual(["ok"]);
    chmodSync(path, 0o644);
    const text = textOf(await checkSecrets(external, facts(true)));
    expect(text).toBe(
      `warning: ENTRIES_SMTP_PASSWORD_FILE: every user of this machine may read ${path}. Run chmod 600 ${path}.`,
    );
  });
});

describe("issue 6.7: the data directory", () => {
  test("is writable or can be made, with room on its disk; unused with database and mail elsewhere", async () => {
    const there = await checkDataDirectory(configOf({ ENTRIES_DATA_DIR: newFolder() }));
    expect(there[0]).toMatchObject({ level: "ok", text: expect.stringContaining("is writable") });
    expect(there[1]?.text).toMatch(/ [KMGT]iB are free/);
    const missing = await checkDataDirectory(configOf({ ENTRIES_DATA_DIR: join(base, "a/b/c") }));
    expect(missing[0]).toMatchObject({ level: "ok", text: expect.stringContaining("made at the first start") });
    const unused = { ...configOf(), database: { kind: "external", url: "" }, smtp: {} } as Config;
    expect(textOf(await checkDataDirectory(unused))).toBe("ok: not used: database and mail are elsewhere.");
  });

  test("that is a file, or belongs to somebody else, is a problem", async () => {
    const file = join(newFolder(), "file");
    writeFileSync(file, "");
    expect(textOf(await checkDataDirectory(configOf({ ENTRIES_DATA_DIR: file })))).toContain("problem: ");
    if (process.geteuid?.() === 0) return; // root may write everywhere
    const closed = newFolder();
    chmodSync(closed, 0o500);
    expect(textOf(await checkDataDirectory(configOf({ ENTRIES_DATA_DIR: closed })))).toContain("may not write to");
  });
});

describe("issue 6.7, P4: the mail relay", () => {
  async function look(options: RelayOptions, env: Record<string, string> = {}) {
    const relay = await startRelay(options);
    cleanUps.push(() => relay.close());
    const settings = { ENTRIES_SMTP_ADDRESS: "localhost", ENTRIES_SMTP_PORT: String(relay.port) };
    const more = { ENTRIES_SMTP_CA_FILE: caFile, ENTRIES_EMAIL_FROM_ADDR: "entries@example.org", ...env };
    const text = textOf(await checkMail(configOf({ ...settings, ...more })));
    expect(text).not.toContain(PASSWORD);
    expect(relay.received).toEqual([]);
    return text;
  }
  const LOGIN = { ENTRIES_SMTP_USERNAME: "someone", ENTRIES_SMTP_PASSWORD: PASSWORD };
  const accepting = (isRight: boolean): RelayOptions => ({
    authOptional: false,
    onAuth: (_auth, _session, done) => (isRight ? done(null, { user: "someone" }) : done(new Error("no"))),
  });

  test("that encrypts and takes the login is well, and gets no mail", async () => {
    expect(await look(accepting(true), LOGIN)).toMatch(
      /^ok: localhost:\d+ answers \(starttls\) and accepts the login\.$/,
    );
  });

  test("that refuses the login, does not encrypt or has a wrong certificate is a problem with its remedy", async () => {
    expect(await look(accepting(false), LOGIN)).toContain("refuses the login. Check ENTRIES_SMTP_USERNAME");
    expect(await look({ disabledCommands: ["STARTTLS"] })).toContain(
      "does not encrypt as asked. Check ENTRIES_SMTP_SECURITY.",
    );
    expect(await look({ certificate: "elsewhere" })).toContain("has a certificate that is not trusted");
  });

  test("that is not there or says nothing is a problem, in bounded time", async () => {
    const port = await startSilentServer();
    const silent = configOf({
      ENTRIES_SMTP_ADDRESS: "127.0.0.1",
      ENTRIES_SMTP_PORT: String(port),
      ENTRIES_EMAIL_FROM_ADDR: "entries@example.org",
    });
    const short = { connectMs: 50_000, silenceMs: 50_000, attemptMs: 200 };
    expect(textOf(await checkMail(silent, short))).toContain("does not answer in time");
    await cleanUps.pop()?.();
    expect(textOf(await checkMail(silent))).toContain("takes no connections. Check ENTRIES_SMTP_ADDRESS");
  });

  test("that is not set is a warning that says where mails are", async () => {
    expect(textOf(await checkMail(configOf()))).toMatch(/^warning: no relay is set, so mails.*outbox/);
  });
});

describe("issue 6.7: the address and the port", () => {
  const address = (env: Record<string, string>) => textOf(checkAddress(configOf(env)));

  test.each([
    [{ ENTRIES_BIND_ADDRESS: "0.0.0.0" }, "warning: ENTRIES_PUBLIC_URL is http://127.0.0.1:0, so links"],
    [{ ENTRIES_PUBLIC_URL: "http://entries.example.org" }, "warning: http://entries.example.org is not encrypted"],
    [
      { ENTRIES_PUBLIC_URL: "https://entries.example.org", ENTRIES_BIND_ADDRESS: "::" },
      "warning: :: is open to the network without encryption",
    ],
    [{ ENTRIES_TRUSTED_PROXIES: "10.0.0.1,0.0.0.0/0" }, "problem: ENTRIES_TRUSTED_PROXIES trusts everybody"],
    [{ ENTRIES_TRUSTED_PROXIES: "::/0" }, "problem: ENTRIES_TRUSTED_PROXIES trusts everybody"],
    [{ ENTRIES_PUBLIC_URL: "https://entries.example.org" }, "ok: clients reach this server at https://entries"],
    [{}, "ok: clients reach this server at http://127.0.0.1:0."],
  ] as const)("of doubtful and good settings is judged (%#)", (env, finding) => {
    expect(address(env)).toStartWith(finding);
  });

  test("a port is free, of a server of ours, or of another program", async () => {
    const other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") });
    const env = { ENTRIES_PORT: String(other.port) };
    expect(textOf(await checkPort(configOf(env)))).toContain("another program listens there");
    other.reload({ fetch: () => Response.json({ status: "ready" }) });
    expect(textOf(await checkPort(configOf(env)))).toBe(`ok: a server runs on ${other.port} and is ready.`);
    other.reload({ fetch: () => Response.json({ status: "not ready", reason: "no database" }, { status: 503 }) });
    expect(textOf(await checkPort(configOf(env)))).toContain("but it answered 503: no database.");
    await other.stop(true);
    expect(textOf(await checkPort(configOf(env)))).toBe(`ok: ${env.ENTRIES_PORT} is free.`);
  });
});
