import { chownSync, lchownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { EmbeddedPostgresError, messageOf, readPasswd } from "./dataDirectory.ts";

/** As whom PostgreSQL runs. It refuses to run as root, so a server started by root runs it as another user. */
export interface PostgresUser {
  name: string;
  /** undefined: as this process's own user. */
  switchTo: { uid: number; gid: number } | undefined;
}

/**
 * @param clusterOwner the owner of an existing cluster: whoever ran it before keeps it
 * @throws EmbeddedPostgresError when the server runs as root and the machine has neither a user postgres nor nobody
 */
export function choosePostgresUser(clusterOwner: { uid: number; gid: number } | undefined): PostgresUser {
  if (process.geteuid?.() !== 0) return { name: "this user", switchTo: undefined };
  const passwd = readPasswd();
  if (clusterOwner !== undefined && clusterOwner.uid !== 0) {
    const entry = passwd.find(({ uid }) => uid === clusterOwner.uid);
    return { name: entry?.name ?? `uid ${clusterOwner.uid}`, switchTo: clusterOwner };
  }
  const entry = ["postgres", "nobody"].map((wanted) => passwd.find(({ name }) => name === wanted)).find(Boolean);
  if (entry === undefined) {
    throw new EmbeddedPostgresError(
      "PostgreSQL refuses to run as root, and /etc/passwd has neither a user postgres nor a user nobody to run it. " +
        "Start this server as an ordinary user.",
    );
  }
  return { name: entry.name, switchTo: { uid: entry.uid, gid: entry.gid } };
}

/**
 * The words to put before a command so that `user` can reach `paths` although a directory above them, such as /root,
 * is closed to it. Empty in the ordinary case. Otherwise the command keeps one privilege of root: to pass and read
 * directories of others (CAP_DAC_READ_SEARCH), or, in containers that lack it, to override file permissions.
 *
 * @throws EmbeddedPostgresError naming the closed directory when that is impossible
 */
export function reachPrefix(user: PostgresUser, paths: readonly string[]): string[] {
  if (user.switchTo === undefined) return [];
  const { uid, gid } = user.switchTo;
  const closed = paths.map((path) => findClosedDirectory(path, uid, gid)).find(Boolean);
  if (closed === undefined) return [];

  const capability = availableCapability();
  const setpriv = Bun.which("setpriv");
  if (capability !== undefined && setpriv !== null) {
    const capabilities = [`--inh-caps=-all,+${capability}`, `--ambient-caps=+${capability}`];
    const identity = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--no-new-privs"];
    // Without this bit access(2), by which PostgreSQL looks for its own files, disregards the privilege.
    const prefix = [setpriv, "--securebits=+no_setuid_fixup", ...identity, ...capabilities];
    const probe = Bun.spawnSync([...prefix, "sh", "-c", 'cd -- "$1"', "sh", closed], { cwd: "/", stderr: "ignore" });
    if (probe.exitCode === 0) return prefix;
  }
  throw new EmbeddedPostgresError(
    `PostgreSQL runs as user ${user.name}, who may not enter ${closed}. Allow it (chmod o+x ${closed}), ` +
      "start with a --data-dir elsewhere, or start this server as an ordinary user.",
  );
}

/** The first directory on the way to and including `path` that the user may not enter. */
function findClosedDirectory(path: string, uid: number, gid: number): string | undefined {
  const above = dirname(path);
  const closedAbove = above === path ? undefined : findClosedDirectory(above, uid, gid);
  if (closedAbove !== undefined) return closedAbove;
  const stats = statSync(path);
  const executeBit = stats.uid === uid ? 0o100 : stats.gid === gid ? 0o010 : 0o001;
  return (stats.mode & executeBit) === 0 ? path : undefined;
}

/** setpriv's name of the capability that opens directories, as far as this process has it. */
function availableCapability(): string | undefined {
  const line = /^CapPrm:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8"));
  const permitted = BigInt(`0x${line?.[1] ?? "0"}`);
  if (permitted & (1n << 2n)) return "dac_read_search";
  if (permitted & (1n << 1n)) return "dac_override";
  return undefined;
}

/** Gives a directory and all in it to the user. Links are not followed. */
export function giveTo(user: PostgresUser, path: string): void {
  if (user.switchTo === undefined) return;
  const { uid, gid } = user.switchTo;
  try {
    for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
      lchownSync(join(entry.parentPath, entry.name), uid, gid);
    }
    chownSync(path, uid, gid);
  } catch (error) {
    throw new EmbeddedPostgresError(
      `Cannot give ${path} to user ${user.name}, who runs PostgreSQL because this server was started as root: ` +
        `${messageOf(error)}. Start this server as an ordinary user.`,
    );
  }
}

/** A socket's path is limited to 107 bytes, and `/.s.PGSQL.5432.lock` and a random suffix have to fit. */
const RUNTIME_PARENT_BYTES_MAX = 60;

/**
 * Makes the private directory (mode 0700) for the socket. It is not in the data directory, whose path may be too long
 * for a socket or whose file system may know none.
 */
export function createRuntimeDirectory(user: PostgresUser, dataDir: string): string {
  for (const parent of [tmpdir(), "/tmp", "/run", dataDir]) {
    if (Buffer.byteLength(parent) > RUNTIME_PARENT_BYTES_MAX) continue;
    try {
      const { uid, gid } = user.switchTo ?? { uid: -1, gid: -1 };
      if (user.switchTo !== undefined && parent !== dataDir && findClosedDirectory(parent, uid, gid)) continue;
      const directory = mkdtempSync(join(parent, "entries-"));
      try {
        giveTo(user, directory);
        return directory;
      } catch (error) {
        rmSync(directory, { recursive: true, force: true });
        throw error;
      }
    } catch (error) {
      if (error instanceof EmbeddedPostgresError) throw error;
    }
  }
  throw new EmbeddedPostgresError(
    "There is no directory for PostgreSQL's socket: neither $TMPDIR nor /tmp nor /run is writable.",
  );
}

/** Makes such a directory again, which went with its PostgreSQL. @throws Error when somebody else made one there */
export function recreateRuntimeDirectory(user: PostgresUser, directory: string): string {
  mkdirSync(directory, { mode: 0o700 });
  giveTo(user, directory);
  return directory;
}
