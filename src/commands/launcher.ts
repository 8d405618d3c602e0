/**
 * Notices when the command that started this server ends. `npx bun start` is a chain of processes, and a signal to its
 * first one, npm, ends npm alone: the server would live on with its database and its port.
 */
import { readFileSync } from "node:fs";

const CHECK_EVERY_MS = 500;
/** Programs of such a chain; what stands above them (a shell, a service manager) may end without stopping the server. */
const LAUNCHER = /(^|[/ ])(npm|npx|bun|bunx|node)( |$)/;

interface ProcessInfo {
  parent: number;
  command: string;
}

/**
 * Calls back once when one of the launchers above this process is gone. Does nothing for a server that was not started
 * by a package script.
 */
export function watchLauncher(onGone: () => void): void {
  if (process.env.npm_lifecycle_event === undefined && process.env.npm_execpath === undefined) return;
  const chain = launchersAbove(process.pid);
  if (chain.length === 0) return;
  const timer = setInterval(() => {
    if (chain.every(({ pid, parent }) => readProcess(pid)?.parent === parent)) return;
    clearInterval(timer);
    onGone();
  }, CHECK_EVERY_MS);
  timer.unref();
}

/** Each process from this one upwards whose parent is a launcher, with that parent. */
function launchersAbove(pid: number): { pid: number; parent: number }[] {
  const chain: { pid: number; parent: number }[] = [];
  let current = pid;
  for (;;) {
    const parent = readProcess(current)?.parent;
    const command = parent === undefined ? undefined : readProcess(parent)?.command;
    if (parent === undefined || command === undefined || !LAUNCHER.test(command)) return chain;
    chain.push({ pid: current, parent });
    current = parent;
  }
}

/** Reads /proc; undefined when the process is gone or the system has no /proc. */
function readProcess(pid: number): ProcessInfo | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    return { parent, command };
  } catch {
    return undefined;
  }
}
