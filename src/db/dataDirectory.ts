import {
  chmodSync,
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { tryLockFile } from "./libc.ts";

/** The embedded database cannot be used. The message is for the operator: what is wrong and what to do. */
export class EmbeddedPostgresError extends Error {
  override readonly name: string = "EmbeddedPostgresError";
}

/** Another server works on this data directory. Nothing was touched. */
export class DataDirectoryInUse extends EmbeddedPostgresError {
  override readonly name = "DataDirectoryInUse";

  /** @param owner who uses it, as the subject of a sentence */
  constructor(dataDir: string, owner: string) {
    super(
      `${owner} already uses the data directory ${dataDir}. Stop it first, or start this server with another --data-dir.`,
    );
  }
}

/**
 * Makes sure that the data directory is there.
 *
 * @returns its path without links
 * @throws EmbeddedPostgresError when it cannot be made or is no directory
 */
export function createDataDirectory(path: string): string {
  try {
    // Started as root, the database runs as another user, who has to pass through but not to look around.
    const mode = process.geteuid?.() === 0 ? 0o711 : 0o700;
    const isNew = mkdirSync(path, { recursive: true, mode }) !== undefined;
    if (isNew) chmodSync(path, mode); // whatever the umask is
    return realpathSync(path);
  } catch (error) {
    throw new EmbeddedPostgresError(
      `Cannot create the data directory ${path}: ${messageOf(error)}. Name one where this user may write with --data-dir.`,
    );
  }
}

export interface DataDirectoryLock {
  release(): void;
}

/**
 * Takes the data directory for this process. The kernel gives it back when the process dies, even by kill -9.
 *
 * @param dataDir an existing directory; the lock is its file `server.lock`, which holds the owner's process id
 * @throws DataDirectoryInUse when a live server has it
 * @throws EmbeddedPostgresError when this user may not write there
 */
export function lockDataDirectory(dataDir: string): DataDirectoryLock {
  const path = join(dataDir, "server.lock");
  const fileDescriptor = openLockFile(path, dataDir);
  let isMine = false;
  try {
    isMine = tryLockFile(fileDescriptor);
    if (!isMine) {
      const pid = readFileSync(path, "utf8").trim();
      throw new DataDirectoryInUse(dataDir, `Another entries-server (process ${pid || "unknown"})`);
    }
    ftruncateSync(fileDescriptor);
    writeSync(fileDescriptor, `${process.pid}\n`);
  } finally {
    if (!isMine) closeSync(fileDescriptor);
  }
  let isHeld = true;
  return {
    release() {
      if (isHeld) closeSync(fileDescriptor);
      isHeld = false;
    },
  };
}

function openLockFile(path: string, dataDir: string): number {
  try {
    return openSync(path, "a+", 0o600);
  } catch (error) {
    const isOthers = error instanceof Error && "code" in error && error.code === "EACCES";
    if (isOthers) {
      throw new EmbeddedPostgresError(belongsToOther(dataDir, ownerOf(path) === undefined ? dataDir : path));
    }
    throw new EmbeddedPostgresError(`Cannot open ${path}: ${messageOf(error)}`);
  }
}

function ownerOf(path: string): number | undefined {
  try {
    return statSync(path).uid;
  } catch {
    return undefined;
  }
}

/**
 * Looks at `<dataDir>/database`.
 *
 * @param expectedMajor the major version of the PostgreSQL that shall run it, for example "18"
 * @returns the owner's uid and gid, or undefined when there is no cluster yet
 * @throws EmbeddedPostgresError when it is something else, another version's, or (for an ordinary user) not ours
 */
export function inspectCluster(dataDir: string, expectedMajor: string): { uid: number; gid: number } | undefined {
  const cluster = join(dataDir, "database");
  const stats = statSync(cluster, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (!stats.isDirectory()) throw new EmbeddedPostgresError(`${cluster} is not a directory. Move it away.`);
  const userId = process.geteuid?.();
  if (userId !== 0 && stats.uid !== userId) throw new EmbeddedPostgresError(belongsToOther(dataDir, cluster));

  const names = readdirSync(cluster);
  if (names.length === 0) return undefined;
  if (!names.includes("PG_VERSION")) {
    throw new EmbeddedPostgresError(
      `${cluster} holds files, but no PostgreSQL database. Move it away, or start with another --data-dir.`,
    );
  }
  const major = readFileSync(join(cluster, "PG_VERSION"), "utf8").trim();
  if (major !== expectedMajor) {
    throw new EmbeddedPostgresError(
      `${cluster} was made by PostgreSQL ${major || "(unknown)"}, this server carries ${expectedMajor}. ` +
        "Start it with the entries-server that made it, or with another --data-dir.",
    );
  }
  return { uid: stats.uid, gid: stats.gid };
}

/** One line of `/etc/passwd`. */
export interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
}

/** The accounts of this machine; lines that are none are left out. @throws Error when the file cannot be read */
export function readPasswd(): PasswdEntry[] {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  return lines.flatMap((line) => {
    const [name, , uid, gid] = line.split(":");
    return name && uid && gid ? [{ name, uid: Number(uid), gid: Number(gid) }] : [];
  });
}

function belongsToOther(dataDir: string, path: string): string {
  const passwd = readPasswd();
  const nameOf = (uid: number | undefined) => passwd.find((entry) => entry.uid === uid)?.name ?? `${uid ?? "unknown"}`;
  const me = nameOf(process.geteuid?.());
  return (
    `${path} belongs to user ${nameOf(ownerOf(path))}, but this server runs as user ${me}. Was it first started by another user, such as root? ` +
    `Start it as that user again. Or, while no server runs, hand the data directory over, as root: chown -R ${me} ${dataDir}`
  );
}

/** A database process that an earlier server left behind. */
export interface Postmaster {
  pid: number;
  /** Its command line. */
  command: readonly string[];
}

/**
 * The live postmaster of a cluster according to `postmaster.pid`; undefined when there is none, its process is dead
 * (or a zombie), or the process id meanwhile belongs to an unrelated program.
 */
export function findPostmaster(cluster: string): Postmaster | undefined {
  const pid = readPostmasterPid(cluster);
  if (pid === undefined) return undefined;
  const command = readOrNothing(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"))?.split("\0") ?? [];
  if (command.every((part) => part === "")) return undefined;
  // A postmaster works inside its cluster. Without the right to see that, its command line has to do.
  const workingDir = readOrNothing(() => readlinkSync(`/proc/${pid}/cwd`));
  const isOfCluster = workingDir === undefined ? command.includes(cluster) : workingDir === cluster;
  return isOfCluster ? { pid, command } : undefined;
}

/** The process id in a cluster's `postmaster.pid`, if there is one. */
export function readPostmasterPid(cluster: string): number | undefined {
  const text = readOrNothing(() => readFileSync(join(cluster, "postmaster.pid"), "utf8"));
  const pid = Number.parseInt(text ?? "", 10);
  return pid > 0 ? pid : undefined;
}

/**
 * Where the postmaster of a cluster takes connections; undefined while it starts or stops.
 *
 * @returns the path of its unix socket
 */
export function readPostmasterSocket(cluster: string): string | undefined {
  const lines = readOrNothing(() => readFileSync(join(cluster, "postmaster.pid"), "utf8"))?.split("\n") ?? [];
  const [, , , port, directory, , , status] = lines.map((line) => line.trim());
  return directory && status === "ready" ? join(directory, `.s.PGSQL.${port}`) : undefined;
}

/** The process id of the server that holds a data directory, or held it last; undefined when none ever did. */
export function readServerPid(dataDir: string): number | undefined {
  const pid = Number.parseInt(readOrNothing(() => readFileSync(join(dataDir, "server.lock"), "utf8")) ?? "", 10);
  return pid > 0 ? pid : undefined;
}

/**
 * Removes the note of a dead postmaster. PostgreSQL does so itself unless the process id is in use again. It still
 * checks by its shared memory block that no process works on the cluster.
 */
export function removeStalePidFile(cluster: string): void {
  rmSync(join(cluster, "postmaster.pid"), { force: true });
}

/** Removes a file or directory. What resists, because a process in it is still dying, is left to the next start. */
export function removeIfPossible(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // See above.
  }
}

/** Writes a directory's list of names to disk. */
export function syncDirectory(path: string): void {
  const fileDescriptor = openSync(path, "r");
  fsyncSync(fileDescriptor);
  closeSync(fileDescriptor);
}

function readOrNothing(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** What a caught value says, for sentences to an operator. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
