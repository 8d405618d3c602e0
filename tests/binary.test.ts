/** The executable of `bun run build` as an operator meets it: first start, refused starts, commands. */

import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { chownSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../package.json";
import { openApiCommand } from "../src/commands/openapi.ts";
import { protoCommand } from "../src/commands/proto.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../src/db/embedded.ts";
import { MIGRATIONS } from "../src/db/migrate.ts";
import { silentLog } from "../src/log.ts";
import { freePort } from "./mail/mailSetup.ts";
import { granted } from "./support/accounts.ts";
import {
  atEnd,
  clientOf,
  dataDirOf,
  heartbeat,
  homeFolder,
  newFolder,
  run,
  serve,
  setUpBinary,
  start,
  startInShell,
} from "./support/binarySetup.ts";
import { Device } from "./support/client.ts";
import { databasePid, hasEnded, type ServerProcess } from "./support/executable.ts";
import {
  enrolPasskey,
  factorsOf,
  ORIGIN,
  passkeyOptions,
  signInQuietly,
  TOTP_PERIOD_MS,
  totpCode,
  verify,
} from "./support/factors.ts";
import { Outbox, signUp } from "./support/outbox.ts";

const NOBODY = { uid: 65534, gid: 65534 };
const isRoot = process.geteuid?.() === 0;

setUpBinary();

/** Why a server did not start, and that it left no database behind. */
async function refusalOf(server: ServerProcess, dataDir: string): Promise<string> {
  expect(await server.exited).toBe(1);
  expect(() => databasePid(dataDir)).toThrow("no database runs");
  const failure = server.logLines().find(({ event }) => event === "the server cannot start");
  return String(failure?.reason);
}

describe("the executable in an empty folder, without any setting", () => {
  test("P1, W1: serves with a database of its own; what a protobuf client stores a JSON client reads", async () => {
    const server = serve();
    const url = await server.listening();
    expect(await heartbeat(url)).toBe(200);

    const outbox = new Outbox(dataDirOf(homeFolder()));
    const { user, device } = await signUp(clientOf(url), outbox);
    const box = await device.createContainer();
    const encrypted_blob = randomBytes(200);
    const entry_id = await device.createEntry(box, { encrypted_blob, version_nonce: -(2n ** 63n) });
    const other = new Device(clientOf(url, "json"), device.accessToken, device.refreshToken);
    const [entry] = (await other.read(box)).entries;
    expect(entry).toMatchObject({ id: entry_id, version_nonce: -(2n ** 63n) });
    expect(entry?.encrypted_blob).toEqual(encrypted_blob);
    expect(await server.stop()).toBe(0);

    // P9: one JSON object per line, and nothing in it that only the user may know.
    const lines = server.stdout.split("\n").slice(0, -1);
    const events = lines.map((line) => JSON.parse(line)).map(({ event }) => event);
    const noRelay = expect.stringContaining("no mail relay");
    const isMigration = (event: unknown) => event === "migration applied";
    expect(events.filter(isMigration)).toHaveLength(MIGRATIONS.length);
    expect(events.filter((event) => !isMigration(event)).slice(0, 3)).toEqual(["starting", noRelay, "listening"]);
    expect(events.slice(-2)).toEqual(["stopping", "stopped"]);
    expect(server.stderr).toBe("");
    const secretsDir = join(dataDirOf(homeFolder()), "secrets");
    const secrets = readdirSync(secretsDir).map((name) => readFileSync(join(secretsDir, name), "utf8").trim());
    const mail = readFileSync(join(dataDirOf(homeFolder()), "outbox", outbox.names()[0] ?? ""), "utf8");
    const passcode = /\d{4} \d{4}/.exec(mail)?.[0] ?? "";
    const userOnly = [user.email, passcode, passcode.replace(" ", ""), device.accessToken, box.token(), box.id];
    for (const secret of [...secrets, ...userOnly]) {
      expect(secret).not.toBe("");
      expect(server.stdout).not.toContain(secret);
    }
  });

  test("P2: secrets and mails can be read by this user alone", () => {
    for (const [folder, count] of Object.entries({ secrets: 2, outbox: 1 })) {
      const directory = join(dataDirOf(homeFolder()), folder);
      expect(statSync(directory).mode & 0o777).toBe(0o700);
      const names = readdirSync(directory);
      expect(names).toHaveLength(count);
      for (const name of names) expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
    }
  });

  test("issue 6: what a browser needs for /docs is in the executable", async () => {
    const server = serve();
    const url = await server.listening();
    const library = await fetch(`${url}/docs/swagger-ui-bundle.js`);
    expect(library.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    const inPackage = readFileSync(
      join(import.meta.dir, "../node_modules/swagger-ui-dist/swagger-ui-bundle.js"),
      "utf8",
    );
    expect(await library.text()).toBe(inPackage);
    for (const path of ["/", "/favicon.svg", "/docs", "/docs/swagger-ui.css", "/docs/start.js", "/docs/docs.css"]) {
      expect([path, (await fetch(url + path)).status]).toEqual([path, 200]);
    }
    expect(await (await fetch(`${url}/openapi.json`)).text()).toBe(openApiCommand());
    expect(await server.stop()).toBe(0);
  });

  test("P3: a .env and a bunfig.toml of somebody else in the folder are not read", async () => {
    writeFileSync(join(homeFolder(), ".env"), "ENTRIES_PORT=none\nENTRIES_DATABASE_URL=nonsense\n");
    writeFileSync(join(homeFolder(), "bunfig.toml"), 'preload = ["./there-is-no-such-file.ts"]\n');
    const server = serve();
    expect(await heartbeat(await server.listening())).toBe(200);
    expect(server.stderr).toBe("");
  });

  test("P9: goes on when its log cannot be written", async () => {
    const port = await freePort();
    const server = startInShell('exec "$0" --port "$1" > /dev/full', String(port));
    const ask = () => heartbeat(`http://127.0.0.1:${port}`).catch(() => undefined);
    while ((await ask()) === undefined) await Bun.sleep(20);
    await Bun.sleep(200); // lines are written a moment after they are logged
    expect(await ask()).toBe(200);
    expect(await server.stop()).toBe(0);
    expect(server.stderr).toBe("");
  });

  test.if(isRoot)("P1: runs as an ordinary user, too, who then owns all that it makes", async () => {
    const folder = await newFolder("nobody");
    chownSync(folder, NOBODY.uid, NOBODY.gid);
    const server = serve({ cwd: folder, user: NOBODY });
    const url = await server.listening();
    const { device } = await signUp(clientOf(url), new Outbox(dataDirOf(folder)));
    expect((await device.createContainer()).id).not.toBe("");
    for (const name of ["database", "secrets", "outbox"]) {
      expect(statSync(join(dataDirOf(folder), name)).uid).toBe(NOBODY.uid);
    }
    const database = databasePid(dataDirOf(folder));
    expect(await server.stop()).toBe(0);
    expect(await hasEnded(database, 0)).toBe(true);
  });
});

describe("a start that cannot succeed says why, and leaves no database running", () => {
  test("P13: because another program has the port: two servers never share one by accident", async () => {
    const first = serve();
    const { port } = new URL(await first.listening());
    const folder = await newFolder("second");
    const second = start(["--port", port], { cwd: folder });
    const reason = await refusalOf(second, dataDirOf(folder));
    expect(reason).toBe(
      `Cannot listen on 127.0.0.1:${port}: another program listens there. Stop it, or choose another port with --port or ENTRIES_PORT.`,
    );
    expect(await heartbeat(`http://127.0.0.1:${port}`)).toBe(200);
  });

  test("because this machine does not have the address", async () => {
    const reason = await refusalOf(serve({ env: { ENTRIES_BIND_ADDRESS: "192.0.2.1" } }), dataDirOf(homeFolder()));
    expect(reason).toContain("this machine does not have that address. Correct ENTRIES_BIND_ADDRESS.");
  });

  test("P1: because another server works on the data directory, which goes on undisturbed", async () => {
    const first = serve();
    const url = await first.listening();
    const second = serve();
    expect(await second.exited).toBe(1);
    expect(second.stdout).toContain(`Another entries-server (process ${first.pid}) already uses the data directory`);
    expect(await heartbeat(url)).toBe(200);
  });

  test("P3: because of its configuration: every problem is named at once, and the status is 2", async () => {
    const folder = await newFolder("misconfigured");
    const env = { ENTRIES_PORT: "eighty", ENTRIES_LOG_LEVEL: "loud", ENTRIES_TOKEN_SIGNING_KEY_B64: "c2VjcmV0" };
    const { status, stdout, stderr } = await run([], { cwd: folder, env });
    expect(status).toBe(2);
    expect(stdout).toBe("");
    for (const name of Object.keys(env)) expect(stderr).toContain(`problem: ${name} must be`);
    expect(stderr).not.toContain("c2VjcmV0");
    expect(readdirSync(folder)).toEqual([]);
    expect(await run(["config", "check"], { cwd: folder, env })).toMatchObject({ status: 2 });
    expect(await run(["sevre"], { cwd: folder })).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('there is no command "sevre"'),
    });
  });
});

describe("P1, P2: with an external database", () => {
  const secrets = {
    ENTRIES_TOKEN_SIGNING_KEY_B64: randomBytes(64).toString("base64"),
    ENTRIES_AUTH_STRING_HASH_KEY_B64: randomBytes(32).toString("base64"),
  };

  test("secrets are required; the start waits for the database with a clear line, and the folder stays free of one", async () => {
    const port = String(await freePort());
    const folder = await newFolder("external");
    const ENTRIES_DATABASE_URL = `postgres://postgres@127.0.0.1:${port}/postgres`;
    const without = await run([], { cwd: folder, env: { ENTRIES_DATABASE_URL } });
    expect(without.status).toBe(2);
    for (const name of Object.keys(secrets)) expect(without.stderr).toContain(`${name} is missing`);

    const server = serve({ cwd: folder, env: { ENTRIES_DATABASE_URL, ...secrets } });
    expect(await server.logged("waiting for the database")).toMatchObject({ level: "warn", reason: "ECONNREFUSED" });
    const impatient = serve({ cwd: folder, env: { ENTRIES_DATABASE_URL, ...secrets } });
    await impatient.logged("waiting for the database");
    expect(await impatient.stop()).toBe(0);

    const cluster = await startCluster(port);
    atEnd(() => cluster.stop());
    const url = await server.listening();
    const { device } = await signUp(clientOf(url, "json"), new Outbox(dataDirOf(folder)));
    const box = await device.createContainer();
    expect((await device.read(box)).id).toBe(box.id);
    expect(readdirSync(dataDirOf(folder))).toEqual(["outbox"]);
    expect(await server.logged("doubtful configuration")).toMatchObject({
      level: "warn", // P4
      message: expect.stringContaining("No mail is sent, passcodes included"),
    });
    expect(await server.stop()).toBe(0);
  });

  /** A PostgreSQL that listens on TCP. */
  function startCluster(port: string): Promise<EmbeddedPostgres> {
    return startEmbeddedPostgres({
      dataDir: join(homeFolder(), "../cluster"),
      unpackRoot: join(import.meta.dir, "../node_modules/.cache/entries-server"),
      durable: false,
      log: silentLog,
      settings: { listen_addresses: "127.0.0.1", port },
    });
  }
});

describe("the executable's other commands", () => {
  test("--version and --help answer at once, and make nothing", async () => {
    const folder = await newFolder("curious");
    expect(await run(["--version"], { cwd: folder })).toEqual({
      status: 0,
      stdout: `entries-server ${version} (bun ${Bun.version})\n`,
      stderr: "",
    });
    const help = await run(["--help"], { cwd: folder });
    expect(help).toMatchObject({ status: 0, stdout: expect.stringContaining("Usage: entries-server"), stderr: "" });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("W1: proto prints the definitions that the source has", async () => {
    expect(await run(["proto"])).toEqual({ status: 0, stdout: protoCommand(), stderr: "" });
  });

  test("P3: config check approves the settings that a start would use", async () => {
    expect(await run(["config", "check"])).toEqual({ status: 0, stdout: "configuration: ok\n", stderr: "" });
  });

  test("P1: migrate makes the schema that serve needs; migrate status tells how far it is and changes nothing", async () => {
    const folder = await newFolder("migrated");
    const before = await run(["migrate", "status"], { cwd: folder });
    expect(before).toMatchObject({ status: 1, stdout: expect.stringContaining("There is no database in ") });
    expect(existsSync(dataDirOf(folder))).toBe(false);

    const migrated = await run(["migrate"], { cwd: folder });
    expect(migrated).toMatchObject({ status: 0, stderr: "" });
    expect(migrated.stdout).toStartWith("Applied migration 1, schema.\n");
    expect(migrated.stdout).toEndWith("The schema is up to date.\n");
    const after = await run(["migrate", "status"], { cwd: folder });
    expect(after).toMatchObject({ status: 0, stdout: expect.stringContaining("1 schema: applied\n") });

    const server = serve({ cwd: folder });
    await server.listening();
    expect(server.stdout).not.toContain("migration applied");
  });
});

describe("what the executable loads only when it is needed", () => {
  test("issue 4: passkeys and authenticator apps", async () => {
    const server = serve({ env: { ENTRIES_PUBLIC_URL: ORIGIN } });
    const { user, device } = await signUp(clientOf(await server.listening()), new Outbox(dataDirOf(homeFolder())));
    const owner = Object.assign(device, { user });
    const { authenticator } = await enrolPasskey(owner);
    const { secret } = granted(await factorsOf(owner).beginTotp(user.auth_string));
    granted(await factorsOf(owner).confirmTotp(totpCode(secret, Date.now())));

    const token = await signInQuietly(owner);
    const { json } = granted(await passkeyOptions(owner.client, token));
    expect((await verify(owner.client, token, { passkey: authenticator.assert(json) })).status).toBe(200);
    const totp = totpCode(secret, Date.now() + TOTP_PERIOD_MS);
    expect((await verify(owner.client, await signInQuietly(owner), { totp })).status).toBe(200);
  });
});
