import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packPostgres } from "../../src/db/packPostgres.ts";
import { ARCHIVE_NAME, reasonOf, unpackArchive, unpackPostgres } from "../../src/db/postgresPack.ts";

let base = "";
let archive = "";

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), "entries-pack-"));
  chmodSync(base, 0o755);
  archive = join(base, ARCHIVE_NAME);
  await packPostgres(archive, { level: 3 });
}, 60_000);
afterAll(() => rmSync(base, { recursive: true, force: true }));

test("P1: the archive is small, reproducible, and holds what a source checkout copies", async () => {
  expect(statSync(archive).size).toBeLessThan(20_000_000);
  const again = join(base, "again", ARCHIVE_NAME);
  await packPostgres(again, { level: 3 });
  expect(Bun.hash(await Bun.file(again).bytes())).toBe(Bun.hash(await Bun.file(archive).bytes()));

  const unpacked = join(base, "unpacked");
  mkdirSync(unpacked);
  await unpackArchive(Bun.file(archive), unpacked);
  const copied = await unpackPostgres(join(base, "copied"), false);
  const list = (folder: string) => readdirSync(folder, { recursive: true }).sort();
  expect(list(unpacked)).toEqual(list(copied));
  expect(list(copied)).toContain("share/postgresql/extension/plpgsql.control");
}, 60_000);

test("P1: a disk that is too full to unpack to is named as the reason, which the archive does not do", () => {
  const error = new Error("ReadError");
  expect(reasonOf(error, 30_500_000)).toStartWith("there are only 30 MB free on that disk");
  expect(reasonOf(error, 1e9)).toBe("ReadError");
});

test("P1: unpacking twice at once gives one directory, whatever the umask is, and leaves nothing else", async () => {
  const root = join(base, "twice");
  const oldMask = process.umask(0o077);
  const [first, second] = await Promise.all([unpackPostgres(root, false), unpackPostgres(root, true)]);
  process.umask(oldMask);
  expect(first).toBe(second);
  expect(readdirSync(root)).toHaveLength(1);
  expect(statSync(root).mode & 0o777).toBe(0o755);
  expect(statSync(join(first, "bin", "postgres")).mode & 0o777).toBe(0o755);
  expect(statSync(join(first, "lib", "libpq.so.5")).mode & 0o777).toBe(0o644);
});

test("P1: a compiled server carries PostgreSQL and starts it where nothing else is installed", async () => {
  const flags = ["--compile", "--minify", "--bytecode", "--format=esm", "--no-compile-autoload-dotenv"];
  const program = join(base, "server");
  const main = join(import.meta.dir, "embeddedChild.ts");
  const build = [process.execPath, "build", ...flags, "--asset", archive, main, "--outfile", program];
  expect(Bun.spawnSync(build, { cwd: base, stdout: "ignore" }).exitCode).toBe(0);

  const place = join(base, "elsewhere");
  mkdirSync(place);
  cpSync(program, join(place, "server"));
  const child = Bun.spawn(["./server", "data", "-"], { cwd: place, env: { PATH: "/usr/bin:/bin" }, stdout: "pipe" });
  let output = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += chunk;
    if (/^row 1$/m.test(output)) child.kill("SIGTERM");
  }
  expect(output).toStartWith("ready 18.");
  expect(output).toContain("exited The embedded PostgreSQL was stopped.");
  expect(await child.exited).toBe(0);
  expect(readdirSync(join(place, "data")).sort()).toEqual(["database", "postgres", "server.lock"]);
}, 60_000);
