import { dlopen, FFIType, read } from "bun:ffi";
import { closeSync, openSync } from "node:fs";

/** The two calls of the C library that neither Bun nor Node offers. glibc is there wherever the bundled PostgreSQL runs. */
function openLibc() {
  return dlopen("libc.so.6", {
    flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    syncfs: { args: [FFIType.i32], returns: FFIType.i32 },
    __errno_location: { args: [], returns: FFIType.ptr },
  }).symbols;
}

let opened: ReturnType<typeof openLibc> | undefined;

function libc(): ReturnType<typeof openLibc> {
  opened ??= openLibc();
  return opened;
}

const LOCK_EXCLUSIVE = 2;
const LOCK_NONBLOCKING = 4;
const EAGAIN = 11;

/**
 * Locks an open file against every other open of it, in this process or another one, without waiting. The kernel
 * keeps the lock until the descriptor is closed, so it ends with the process however that dies, and no process id
 * that came to be used twice can fool it.
 *
 * @returns false when somebody else holds it
 * @throws Error when the file system knows no locks
 */
export function tryLockFile(fileDescriptor: number): boolean {
  if (libc().flock(fileDescriptor, LOCK_EXCLUSIVE | LOCK_NONBLOCKING) === 0) return true;
  const errno = lastErrno();
  if (errno === EAGAIN) return false;
  throw new Error(`The file system refuses file locks (flock, errno ${errno}).`);
}

/** Writes out everything of the file system that holds `directory`: one call instead of one fsync for each new file. */
export function syncFileSystem(directory: string): void {
  const fileDescriptor = openSync(directory, "r");
  try {
    if (libc().syncfs(fileDescriptor) !== 0) throw new Error(`Cannot sync ${directory} (errno ${lastErrno()}).`);
  } finally {
    closeSync(fileDescriptor);
  }
}

function lastErrno(): number {
  const location = libc().__errno_location();
  return location === null ? 0 : read.i32(location, 0);
}
