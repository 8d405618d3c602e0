import { dlopen, FFIType, ptr, read } from "bun:ffi";
import { closeSync, openSync, readFileSync } from "node:fs";

/** The calls of the C library that neither Bun nor Node offers. glibc is there wherever the bundled PostgreSQL runs. */
function openLibc() {
  return dlopen("libc.so.6", {
    flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    syncfs: { args: [FFIType.i32], returns: FFIType.i32 },
    dup2: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    setsockopt: {
      args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32],
      returns: FFIType.i32,
    },
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    sendto: {
      args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
      returns: FFIType.i64,
    },
    madvise: { args: [FFIType.u64, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
    clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
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

/** Makes `descriptor` another name for what `source` is; what it was before is closed. Linux, as everything here. */
export function replaceDescriptor(descriptor: number, source: number): void {
  if (libc().dup2(source, descriptor) < 0) throw new Error(`Cannot replace a descriptor (errno ${lastErrno()}).`);
}

const SOL_SOCKET = 1;
const SO_ATTACH_REUSEPORT_CBPF = 51;
/** A program of one instruction, which returns a constant (struct sock_filter). */
const BPF_RETURN_CONSTANT = 0x06;

/**
 * Of several sockets that listen on one port, lets one have every new connection.
 *
 * @param descriptor of any of them
 * @param index by age, from 0 on; when there are not so many any more, new connections are shared out again
 * @throws Error when the kernel refuses
 */
export function steerConnections(descriptor: number, index: number): void {
  const instruction = new Uint32Array([BPF_RETURN_CONSTANT, index]);
  const program = new BigUint64Array([1n, BigInt(ptr(instruction))]);
  const result = libc().setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program, program.byteLength);
  if (result !== 0) throw new Error(`Cannot steer connections (errno ${lastErrno()}).`);
}

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0x80002;
/** Do not wait for a receiver whose queue is full, and raise no signal when it is gone. */
const MSG_DONTWAIT_NOSIGNAL = 0x4040;
/** Of sockaddr_un: 108 bytes, with the zero at the end of a file's path. */
const SOCKET_PATH_BYTES_MAX = 107;

/**
 * Sends one datagram to a unix socket.
 *
 * @param path of a socket file, or "@" and the name of an abstract socket
 * @throws Error when it cannot be sent
 */
export function sendUnixDatagram(path: string, text: string): void {
  const name = Buffer.from(path);
  if (name.length > SOCKET_PATH_BYTES_MAX) throw new Error("The path of the socket is too long.");
  const isAbstract = path.startsWith("@");
  if (isAbstract) name[0] = 0;
  const address = Buffer.concat([
    Buffer.from(new Uint16Array([AF_UNIX]).buffer),
    name,
    Buffer.alloc(isAbstract ? 0 : 1),
  ]);
  const message = Buffer.from(text);
  const socket = libc().socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  if (socket < 0) throw new Error(`Cannot make a socket (errno ${lastErrno()}).`);
  try {
    const sent = libc().sendto(socket, message, message.length, MSG_DONTWAIT_NOSIGNAL, address, address.length);
    if (Number(sent) !== message.length) throw new Error(`Cannot send to the socket (errno ${lastErrno()}).`);
  } finally {
    closeSync(socket);
  }
}

const MADV_PAGEOUT = 21;

/**
 * Gives back the memory of what was read from the data of this executable and is not needed any more. Nothing is lost:
 * the kernel reads it again where it is touched, and one that knows no such advice (Linux before 5.4) does nothing.
 */
export function releaseOwnPages(): void {
  for (const line of readFileSync("/proc/self/maps", "utf8").split("\n")) {
    const [range = "", rights, , , , file] = line.split(/ +/);
    if (file !== process.execPath || rights !== "rw-p") continue;
    const [start = 0n, end = 0n] = range.split("-").map((address) => BigInt(`0x${address}`));
    libc().madvise(start, end - start, MADV_PAGEOUT);
  }
}

const CLOCK_MONOTONIC = 1;

/** The system's monotonic clock in microseconds, which is the same for all processes. Bun's begin with the process. */
export function monotonicMicros(): bigint {
  const time = new BigInt64Array(2);
  if (libc().clock_gettime(CLOCK_MONOTONIC, time) !== 0) throw new Error("There is no monotonic clock.");
  const [secs = 0n, nanos = 0n] = time;
  return secs * 1_000_000n + nanos / 1000n;
}

function lastErrno(): number {
  const location = libc().__errno_location();
  return location === null ? 0 : read.i32(location, 0);
}
