/**
 * Notices when the command that started this server ends. `npx bun start` is a chain of processes (npm, a shell, bun,
 * this one), and a signal to its first one, npm, ends npm alone: the server would live on with its database and port.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";

const CHECK_EVERY_MS = 250;
const LAUNCHERS: ReadonlySet<string> = new Set(["npm", "npx", "bun", "bun.exe", "bunx", "node"]);
const SHELLS: ReadonlySet<string> = new Set(["sh", "dash", "bash", "ash", "busybox", "zsh"]);

/** A process of the chain, and the one above it that must stay its parent. */
interface Link {
  pid: number;
  parent: number;
}

/**
 * Calls back once when one of the launchers above this process is gone. Does nothing for an executable and for a server
 * that no package script started: whatever stands above those, such as a script that starts them in the background,
 * may end without stopping them.
 */
export function watchLauncher(onGone: () => void): void {
  if (Bun.isStandaloneExecutable || process.env.npm_lifecycle_event === undefined) return;
  const chain = launchersAbove(process.pid);
  if (chain.length === 0) return;
  const timer = setInterval(() => {
    if (chain.every(({ pid, parent }) => parentOf(pid) === parent)) return;
    clearInterval(timer);
    onGone();
  }, CHECK_EVERY_MS);
  timer.unref();
}

/** From this process up to the topmost launcher. Shells count only between launchers, where they run a script. */
function launchersAbove(pid: number): Link[] {
  const chain: Link[] = [];
  let length = 0;
  let current = pid;
  for (;;) {
    const parent = parentOf(current);
    const kind = parent === undefined ? undefined : kindOf(parent);
    if (parent === undefined || kind === undefined) return chain.slice(0, length);
    chain.push({ pid: current, parent });
    if (kind === "launcher") length = chain.length;
    current = parent;
  }
}

/** undefined when the process is gone, or the system has no /proc. */
function parentOf(pid: number): number | undefined {
  const stat = readProc(pid, "stat");
  // The second field, the name in brackets, may itself hold spaces and brackets.
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

function kindOf(pid: number): "launcher" | "shell" | undefined {
  const [title = "", argument] = readProc(pid, "cmdline")?.split("\0") ?? [];
  const program = basename(title.split(" ")[0] ?? ""); // npm calls itself "npm exec bun start", in one piece
  if (LAUNCHERS.has(program)) return "launcher";
  return SHELLS.has(program) && argument === "-c" ? "shell" : undefined;
}

function readProc(pid: number, file: "stat" | "cmdline"): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}
