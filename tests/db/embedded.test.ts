import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { readPostmasterPid } from "../../src/db/dataDirectory.ts";
import {
  DataDirectoryInUse,
  type EmbeddedOptions,
  type EmbeddedPostgres,
  EmbeddedPostgresError,
  type SocketAddress,
  startEmbeddedPostgres,
} from "../../src/db/embedded.ts";
import { reachPrefix } from "../../src/db/postgresUser.ts";
import { createLog, silentLog } from "../../src/log.ts";

const REPO = join(import.meta.dir, "../..");
const UNPACK_ROOT = join(REPO, "node_modules", ".cache", "entries-server");
const NOBODY = { name: "nobody", switchTo: { uid: 65534, gid: 65534 } };
const isRoot = process.geteuid?.() === 0;

let base = "";
let running: { stop(): Promise<unknown> }[] = [];

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "entries-test-"));
  chmodSync(base, 0o755);
});
afterEach(async () => {
  await Promise.all(running.map((one) => one.stop()));
  running = [];
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

async function start(dataDir: string, options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedPostgres> {
  const defaults = { log: silentLog, durable: false, unpackRoot: UNPACK_ROOT };
  const embedded = await startEmbeddedPostgres({ dataDir, ...defaults, ...options });
  running.push(embedded);
  return embedded;
}

async function query(address: SocketAddress, text: string): Promise<readonly Record<string, unknown>[]> {
  const target = { path: address.socketPath, username: address.username, database: address.database };
  const sql = postgres({ ...target, max: 1, onnotice: () => {} });
  try {
    return await sql.unsafe(text);
  } finally {
    await sql.end();
  }
}

/** Why a start failed. */
async function refusal(dataDir: string, options: Partial<EmbeddedOptions> = {}): Promise<Error> {
  return await start(dataDir, options).then(
    () => expect.unreachable("it started"),
    (error: Error) => error,
  );
}

/** Runs embeddedChild.ts, by default as this user. */
function startChild(dataDir: string, options: { ordinaryUser?: boolean; unpackRoot?: string } = {}) {
  const switches = options.ordinaryUser && isRoot;
  const prefix = switches ? reachPrefix(NOBODY, [REPO, process.execPath]) : [];
  const command = [
    process.execPath,
    join(import.meta.dir, "embeddedChild.ts"),
    dataDir,
    options.unpackRoot ?? UNPACK_ROOT,
  ];
  const identity = switches && prefix.length === 0 ? NOBODY.switchTo : {};
  const child = Bun.spawn([...prefix, ...command], { ...identity, cwd: "/", stdout: "pipe", stderr: "inherit" });
  let output = "";
  const ended = (async () => {
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) output += chunk;
  })();
  const stop = () => {
    child.kill("SIGKILL");
    return child.exited;
  };
  running.push({ stop });
  return {
    pid: child.pid,
    kill: stop,
    /** Resolves with the whole output so far once it matches, or with all of it at the end. */
    async seen(pattern: RegExp): Promise<string> {
      const isOver = ended.then(() => true);
      while (!pattern.test(output)) if (await Promise.race([isOver, Bun.sleep(5)])) break;
      return output;
    },
    rows: () => Number([...output.matchAll(/^row (\d+)$/gm)].at(-1)?.[1] ?? 0),
  };
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}

function clusterPid(dataDir: string): number {
  return readPostmasterPid(join(dataDir, "database")) ?? expect.unreachable("no postmaster.pid");
}

async function countRows(embedded: EmbeddedPostgres): Promise<number> {
  const [row] = await query(embedded.connection, "select count(*)::int as count from acknowledged");
  return Number(row?.count);
}

describe("P1: the embedded PostgreSQL", () => {
  test("a fresh start makes the database, and its role is no superuser; a restart keeps the rows", async () => {
    const dataDir = join(base, "fresh", "data");
    const first = await start(dataDir, { durable: true });
    expect(first.version).toMatch(/^18\.\d+$/);
    const [role] = await query(
      first.connection,
      "select rolsuper, current_setting('fsync') as fsync from pg_roles where rolname = current_user",
    );
    expect(role).toEqual({ rolsuper: false, fsync: "on" });
    await query(first.connection, "create table kept as select 'naïve ☃' as word");
    await first.stop();
    expect(await first.exited).toMatchObject({ expected: true });

    const startedAt = performance.now();
    const second = await start(dataDir, { settings: { work_mem: "5MB" } });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    const [row] = await query(second.connection, "select word, current_setting('work_mem') as work_mem from kept");
    expect(row).toEqual({ word: "naïve ☃", work_mem: "5MB" });
    const [admin] = await query(
      second.superuserConnection,
      "select rolsuper from pg_roles where rolname = current_user",
    );
    expect(admin).toEqual({ rolsuper: true });
  }, 20_000);

  test("only its user can open the files and the socket, no port is open, and Ctrl-C does not reach it", async () => {
    const dataDir = join(base, "private");
    const { connection, stop } = await start(dataDir);
    expect(statSync(join(dataDir, "database")).mode & 0o777).toBe(0o700);
    expect(statSync(join(connection.socketPath, "..")).mode & 0o777).toBe(0o700);
    expect(statSync(dataDir).mode & 0o066).toBe(0);
    const [row] = await query(
      connection,
      "select current_setting('listen_addresses') as addresses, inet_server_addr() as address",
    );
    expect(row).toEqual({ addresses: "", address: null });

    const sessionOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[5];
    expect(sessionOf(clusterPid(dataDir))).not.toBe(sessionOf(process.pid));
    await stop();
    expect(existsSync(join(connection.socketPath, ".."))).toBe(false);
  }, 20_000);

  test("P9: what it logs is passed on without statements and values", async () => {
    const lines: string[] = [];
    const log = createLog("debug", false, (text) => lines.push(text));
    const { connection } = await start(join(base, "private"), { log });
    const secret = "s3cret\nFATAL:  faked";
    await query(connection, `do $$ begin raise exception '%', '${secret}'; end $$`).catch(() => {});
    await query(connection, `select '${secret}'::int`).catch(() => {});
    await query({ ...connection, database: "missing" }, "select 1").catch(() => {});
    while (lines.length === 0) await Bun.sleep(5);
    expect(lines.join("")).toContain(
      '"event":"database","severity":"FATAL","message":"database \\"missing\\" does not exist"',
    );
    expect(lines.join("")).not.toMatch(/s3cret|faked|select/);
  }, 20_000);

  test("P1: when it dies by itself it is started again at the same place, with everything that was acknowledged", async () => {
    const dataDir = join(base, "private");
    const embedded = await start(dataDir, { durable: true });
    await query(embedded.connection, "create table survivors (number integer)");
    await query(embedded.connection, "insert into survivors values (1)");
    const earlier = clusterPid(dataDir);
    process.kill(earlier, "SIGKILL");
    await untilAnotherRuns(dataDir, earlier);
    expect(await query(embedded.connection, "select number from survivors")).toEqual([{ number: 1 }]);
    await embedded.stop();
    expect(await embedded.exited).toMatchObject({ expected: true });
  }, 20_000);

  test("P1: when it dies again and again the server is told, and the next start recovers", async () => {
    const dataDir = join(base, "private");
    const first = await start(dataDir);
    for (let deaths = 1; deaths <= 6; deaths++) {
      const pid = clusterPid(dataDir);
      process.kill(pid, "SIGKILL");
      if (deaths < 6) await untilAnotherRuns(dataDir, pid);
    }
    const { expected, message } = await first.exited;
    expect(expected).toBe(false);
    expect(message).toContain("ended unexpectedly (status 137)");
    const second = await start(dataDir);
    expect(await query(second.connection, "select 1 as one")).toEqual([{ one: 1 }]);
  }, 60_000);

  test("P1: a stop while it is being started again leaves none running", async () => {
    const dataDir = join(base, "private");
    const embedded = await start(dataDir);
    const earlier = clusterPid(dataDir);
    process.kill(earlier, "SIGKILL");
    await Bun.sleep(120); // any time is as good: about now the next one starts
    await embedded.stop();
    expect(await embedded.exited).toMatchObject({ expected: true });
    expect(existsSync(join(dataDir, "database", "postmaster.pid"))).toBe(false);
  }, 20_000);

  async function untilAnotherRuns(dataDir: string, earlier: number): Promise<void> {
    const ready = () => {
      try {
        const lines = readFileSync(join(dataDir, "database", "postmaster.pid"), "utf8").split("\n");
        return Number(lines[0]) !== earlier && lines[7]?.trim() === "ready";
      } catch {
        return false;
      }
    };
    while (!ready()) await Bun.sleep(10);
  }
});

describe("P1: kill -9 loses no acknowledged row and the next start succeeds at once", () => {
  test("of the server: PostgreSQL ends with it", async () => {
    const dataDir = join(base, "killed");
    const child = startChild(dataDir);
    await child.seen(/^row 200$/m);
    const pid = clusterPid(dataDir);
    await child.kill();
    const embedded = await start(dataDir);
    expect(isAlive(pid)).toBe(false);
    expect(await countRows(embedded)).toBeGreaterThanOrEqual(child.rows());
    expect(child.rows()).toBeGreaterThanOrEqual(200);
  }, 20_000);

  test("of the server and PostgreSQL, and of its guard", async () => {
    const dataDir = join(base, "killed");
    const earlier = await start(dataDir);
    const rowsBefore = await countRows(earlier);
    await earlier.stop();

    const child = startChild(dataDir);
    await child.seen(/^row 100$/m);
    const pid = clusterPid(dataDir);
    const guard = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
    process.kill(guard, "SIGKILL");
    process.kill(pid, "SIGKILL");
    await child.kill();
    const embedded = await start(dataDir);
    expect(await countRows(embedded)).toBeGreaterThanOrEqual(rowsBefore + child.rows());
  }, 20_000);

  test("in the middle of the very first start", async () => {
    const dataDir = join(base, "halfway");
    const child = startChild(dataDir);
    while (!existsSync(dataDir) || !hasHalfCluster(dataDir)) await Bun.sleep(2);
    await child.kill();
    expect(existsSync(join(dataDir, "database"))).toBe(false);
    const first = await start(dataDir);
    expect(await query(first.connection, "select 1 as one")).toEqual([{ one: 1 }]);
    await first.stop();
    await start(dataDir);
    expect(hasHalfCluster(dataDir)).toBe(false);
  }, 20_000);
});

function hasHalfCluster(dataDir: string): boolean {
  return [...new Bun.Glob("database.new-*/base/*").scanSync({ cwd: dataDir, onlyFiles: false })].length > 0;
}

describe("P1: a data directory that cannot be used is refused with a sentence, and nothing in it is touched", () => {
  test("because another server runs on it", async () => {
    const dataDir = join(base, "busy");
    const child = startChild(dataDir);
    await child.seen(/^row 1$/m);
    const startedAt = performance.now();
    const error = await refusal(dataDir);
    expect(performance.now() - startedAt).toBeLessThan(500);
    expect(error).toBeInstanceOf(DataDirectoryInUse);
    expect(error.message).toContain(dataDir);
    expect(error.message).toContain(`process ${child.pid}`);
    const rows = child.rows();
    expect(await child.seen(new RegExp(`^row ${rows + 10}$`, "m"))).not.toContain("exited");
  }, 20_000);

  test("but a process id that came to be used again does not count as a running database", async () => {
    const dataDir = join(base, "busy");
    const first = await start(dataDir);
    const pidFile = join(dataDir, "database", "postmaster.pid");
    const lines = readFileSync(pidFile, "utf8").split("\n").slice(1);
    await first.stop();
    writeFileSync(pidFile, [String(process.pid), ...lines].join("\n"));
    const second = await start(dataDir);
    expect(await query(second.connection, "select 1 as one")).toEqual([{ one: 1 }]);
  }, 20_000);

  test("because there is something else in it", async () => {
    const dataDir = join(base, "garbage");
    mkdirSync(join(dataDir, "database"), { recursive: true });
    writeFileSync(join(dataDir, "database", "letter.txt"), "dear");
    expect((await refusal(dataDir)).message).toContain(`${dataDir}/database holds files, but no PostgreSQL database`);
    writeFileSync(join(dataDir, "database", "PG_VERSION"), "12\n");
    expect((await refusal(dataDir)).message).toContain("was made by PostgreSQL 12, this server carries 18");
    expect(readFileSync(join(dataDir, "database", "letter.txt"), "utf8")).toBe("dear");
    writeFileSync(join(base, "file"), "");
    expect((await refusal(join(base, "file"))).message).toContain("Cannot create the data directory");
  });

  test("because its files are damaged: PostgreSQL's own words say why", async () => {
    const dataDir = join(base, "damaged");
    await (await start(dataDir)).stop();
    writeFileSync(join(dataDir, "database", "global", "pg_control"), "x");
    const error = await refusal(dataDir);
    expect(error).toBeInstanceOf(EmbeddedPostgresError);
    expect(error.message).toContain('could not read file "global/pg_control"');
  }, 20_000);
});

describe("P1: it runs for every kind of user", () => {
  test("below a directory that only its owner may enter, as root too", async () => {
    const closed = join(base, "closed");
    mkdirSync(closed, { mode: 0o700 });
    const dataDir = join(closed, "data");
    const child = startChild(dataDir, { unpackRoot: "-" });
    expect(await child.seen(/^row 1$/m)).toStartWith("ready 18.");
    const owner = statSync(join(dataDir, "database")).uid;
    if (isRoot) expect(owner).not.toBe(0);
    else expect(owner).toBe(process.geteuid?.() ?? -1);
    await child.kill();
    expect(await startChild(dataDir, { unpackRoot: "-" }).seen(/^row 1$/m)).toStartWith("ready 18.");
  }, 20_000);

  test("as an ordinary user in a directory of its own", async () => {
    const home = join(base, "home");
    mkdirSync(home, { mode: 0o700 });
    if (isRoot) chownSync(home, NOBODY.switchTo.uid, NOBODY.switchTo.gid);
    const child = startChild(join(home, "data"), { ordinaryUser: true, unpackRoot: "-" });
    expect(await child.seen(/^row 1$/m)).toStartWith("ready 18.");
    expect(statSync(join(home, "data", "database")).uid).toBe(statSync(home).uid);
    expect(statSync(join(home, "data")).mode & 0o777).toBe(0o700);
  }, 20_000);

  test("but not as an ordinary user where another user's database is", async () => {
    const dataDir = isRoot ? join(base, "private") : "/";
    const output = await startChild(dataDir, { ordinaryUser: true }).seen(/\n/);
    expect(output).toStartWith("EmbeddedPostgresError");
    expect(output).toContain("belongs to user root");
    expect(output).toContain("chown -R");
  }, 20_000);
});
