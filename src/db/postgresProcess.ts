import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Log } from "../log.ts";
import { EmbeddedPostgresError, messageOf, readPostmasterPid, removeIfPossible } from "./dataDirectory.ts";
import type { PostgresUser } from "./postgresUser.ts";

/**
 * A PostgreSQL program must end with this server, even when the server dies by kill -9 and can do nothing about it.
 * So it runs below this small shell, whose standard input is a pipe from the server: the "lifeline". Nobody ever
 * writes to it. When the server closes it or dies, `read` returns and the program gets SIGINT, PostgreSQL's fast and
 * clean shutdown. The signal is repeated because the program ignores it until it has set itself up.
 *
 * Why not prctl's parent-death signal (setpriv --pdeathsig)? It is lost when the parent dies before the call and ends
 * with a parent thread. And after kill -9 of the server it leaves a dead PostgreSQL to process 1, which in many a
 * container never buries its children, while the next start takes that zombie for a live one. This shell buries it.
 *
 * The shell ignores the signals that a terminal or a service manager sends to everybody; PostgreSQL sets its own.
 * `$1` is the socket's directory, removed at the end; the command follows.
 */
const GUARD = `
runtime_dir=$1; shift
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
trap '' HUP INT TERM
(
  exec 2>/dev/null
  read -r _ <&3
  while kill -INT "$child"; do sleep 1; done
  rm -rf -- "$runtime_dir"
) &
watcher=$!
exec 3<&-
wait "$child"
status=$?
kill -KILL "$watcher" 2>/dev/null
rm -rf -- "$runtime_dir"
exit "$status"
`;

export interface ProcessEnd {
  /** The program's exit status; 128 + n after signal n. */
  status: number;
  /** Its last words, one message per line, without statements and values. */
  lastLines: string;
}

export interface GuardedProcess {
  /** Resolves when the program has ended; never rejects. */
  ended: Promise<ProcessEnd>;
  /** Makes the program end: closes the lifeline. */
  cutLifeline(): void;
}

const KEPT_LINES = 20;

/**
 * Runs a PostgreSQL program below the guard, in a session of its own, so that Ctrl-C in a terminal does not reach it.
 * It sees nothing of this server's environment, where secrets are.
 *
 * @param prefix words before the command (see reachPrefix)
 * @param runtimeDir removed when the program has ended
 * @param onMessage called for each message, for example ("FATAL", "sorry, too many clients already")
 * @throws EmbeddedPostgresError when it cannot be started at all
 */
export function runGuarded(
  command: readonly string[],
  { user, prefix, runtimeDir }: { user: PostgresUser; prefix: readonly string[]; runtimeDir: string },
  onMessage: (severity: string, text: string) => void = () => {},
): GuardedProcess {
  const [program = "sh", ...args] = [...prefix, "sh", "-c", GUARD, "entries-guard", runtimeDir, ...command];
  const child = spawnOrExplain(program, args, user, runtimeDir);
  const lastLines: string[] = [];
  const readMessage = messageReader((severity, text) => {
    lastLines.push(severity === "" ? text : `${severity}: ${text}`);
    if (lastLines.length > KEPT_LINES) lastLines.shift();
    onMessage(severity, text);
  });
  child.stderr.setEncoding("utf8");
  let partial = "";
  child.stderr.on("data", (chunk: string) => {
    const lines = (partial + chunk).split("\n");
    partial = lines.pop() ?? "";
    for (const line of lines) readMessage(line);
  });
  // A lifeline that breaks is the end of the guard, which is seen below.
  child.stdin.on("error", () => {});

  const ended = new Promise<ProcessEnd>((resolve) => {
    const finish = (status: number) => {
      child.stdin.destroy();
      removeIfPossible(runtimeDir);
      resolve({ status, lastLines: lastLines.join("\n") });
    };
    child.on("error", (error) => {
      lastLines.push(messageOf(error));
      finish(127);
    });
    child.on("close", (status) => finish(status ?? 137));
  });
  return { ended, cutLifeline: () => child.stdin.end() };
}

function spawnOrExplain(program: string, args: string[], user: PostgresUser, runtimeDir: string) {
  // With a prefix, setpriv is what changes the user, since it has to keep a privilege while doing so.
  const identity = program === "sh" ? user.switchTo : undefined;
  try {
    return spawn(program, args, {
      ...identity,
      cwd: "/",
      detached: true,
      env: { PATH: process.env.PATH ?? "/usr/bin:/bin", TZ: "UTC", LC_ALL: "C" },
      stdio: ["pipe", "ignore", "pipe"],
    });
  } catch (error) {
    removeIfPossible(runtimeDir);
    throw new EmbeddedPostgresError(
      `Cannot run ${program} as ${user.name} to start PostgreSQL: ${messageOf(error)}.` +
        (user.switchTo === undefined ? "" : " Start this server as an ordinary user."),
    );
  }
}

/**
 * Turns PostgreSQL's log lines into messages. An ERROR concerns one statement, is answered to whoever sent that and
 * may quote its values: dropped, with its continuation lines (they begin with a tab).
 */
function messageReader(onMessage: (severity: string, text: string) => void): (line: string) => void {
  let isDropping = false;
  return (line) => {
    if (line.startsWith("\t") && isDropping) return;
    const [, severity = "", text = line.trim()] = /^([A-Z]+\d?): {2}(.*)$/.exec(line) ?? [];
    isDropping = severity === "ERROR";
    if (!isDropping && text !== "") onMessage(severity, text);
  };
}

export interface Postmaster {
  ended: Promise<ProcessEnd>;
  /** Ends all sessions and shuts down cleanly; resolves when the process is gone. */
  stop(): Promise<void>;
}

const READY = "database system is ready to accept connections";
const SLOW_START_MS = 5_000;
/** A clean shutdown writes out what is in memory, which takes its time on a slow disk. */
const STOP_LIMIT_MS = 30_000;

/**
 * Starts PostgreSQL and waits until it takes connections: it says so itself, nothing is polled.
 *
 * @param programDir see unpackPostgres
 * @param settings on the command line, so they win over postgresql.conf
 * @throws PostmasterFailed when it ended instead
 */
export async function startPostmaster(
  place: { programDir: string; cluster: string; runtimeDir: string; user: PostgresUser; prefix: readonly string[] },
  settings: Record<string, string>,
  log: Log,
): Promise<Postmaster> {
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  let isStopping = false;
  const ready = Promise.withResolvers<void>();
  const guarded = runGuarded(
    [join(place.programDir, "bin", "postgres"), "-D", place.cluster, ...options],
    place,
    (severity, text) => {
      if (text === READY) ready.resolve();
      const isNews = severity === "FATAL" || severity === "PANIC" || severity === "WARNING";
      if (isNews && !isStopping) log.warn("database", { severity, message: text });
    },
  );
  const slow = setTimeout(() => log.info("the database is still starting, as after a crash"), SLOW_START_MS);
  const early = await Promise.race([ready.promise, guarded.ended]).finally(() => clearTimeout(slow));
  if (early !== undefined) throw new PostmasterFailed(early);

  let hasEnded = false;
  guarded.ended.then(() => {
    hasEnded = true;
  });
  return {
    ended: guarded.ended,
    async stop() {
      isStopping = true;
      guarded.cutLifeline();
      const pid = hasEnded ? undefined : readPostmasterPid(place.cluster);
      signalProcess(pid, "SIGINT"); // in case somebody killed the guard
      const limit = setTimeout(() => signalProcess(pid, "SIGQUIT"), STOP_LIMIT_MS);
      await guarded.ended.finally(() => clearTimeout(limit));
    },
  };
}

/** PostgreSQL ended instead of starting. */
export class PostmasterFailed extends EmbeddedPostgresError {
  override readonly name = "PostmasterFailed";
  /** An earlier postmaster, or a session of it, is still ending. */
  readonly isClusterBusy: boolean;

  constructor(end: ProcessEnd) {
    super(`The embedded PostgreSQL did not start (status ${end.status}):\n${end.lastLines}`);
    this.isClusterBusy = /lock file "postmaster.pid" already exists|shared memory block .* still in use/.test(
      end.lastLines,
    );
  }
}

/** Signals a postmaster, if it is still there: SIGINT for a clean stop, SIGQUIT for one without cleaning up. */
export function signalProcess(pid: number | undefined, signal: "SIGINT" | "SIGQUIT"): void {
  try {
    if (pid !== undefined) process.kill(pid, signal);
  } catch {
    // It ended by itself.
  }
}
