/**
 * One JSON line per event on stdout, or a readable line when stdout is a terminal (decision P9).
 * Never pass a token, e-mail address, passcode, blob, key, query string or container id.
 */
export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Record<string, string | number | boolean | bigint | null | undefined | readonly string[]>;

export interface Log {
  error(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  debug(event: string, fields?: LogFields): void;
  /** Writes out what is still buffered. */
  flush(): void;
}

/** How long a line may wait in memory, so that a busy server writes once per many lines. */
const FLUSH_DELAY_MS = 50;
const FLUSH_AT_BYTES = 64 * 1024;

/**
 * @param level the least important level that is written
 * @param pretty readable lines for a terminal instead of JSON
 * @param write where lines go; stdout unless a test listens
 */
export function createLog(level: LogLevel, pretty: boolean, write: (text: string) => void = writeStdout): Log {
  const threshold = LOG_LEVELS.indexOf(level);
  let buffer = "";
  let timer: ReturnType<typeof setTimeout> | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (buffer === "") return;
    const text = buffer;
    buffer = "";
    write(text);
  }

  function emit(lineLevel: LogLevel, event: string, fields: LogFields = {}): void {
    if (LOG_LEVELS.indexOf(lineLevel) > threshold) return;
    buffer += pretty ? prettyLine(lineLevel, event, fields) : jsonLine(lineLevel, event, fields);
    const isUrgent = lineLevel === "error" || lineLevel === "warn" || pretty;
    if (isUrgent || buffer.length >= FLUSH_AT_BYTES) flush();
    else timer ??= setTimeout(flush, FLUSH_DELAY_MS);
  }

  return {
    error: (event, fields) => emit("error", event, fields),
    warn: (event, fields) => emit("warn", event, fields),
    info: (event, fields) => emit("info", event, fields),
    debug: (event, fields) => emit("debug", event, fields),
    flush,
  };
}

/** A log that writes nothing, for tests and one-shot commands. */
export const silentLog: Log = createLog("error", false, () => {});

function jsonLine(level: LogLevel, event: string, fields: LogFields): string {
  const line = { time: new Date().toISOString(), level, event, ...fields };
  // A replacer makes this three times as slow, and hardly any line holds a bigint.
  const hasBigint = Object.values(fields).some((value) => typeof value === "bigint");
  return `${JSON.stringify(line, hasBigint ? bigintAsText : undefined)}\n`;
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

const COLOURS: Record<LogLevel, string> = { error: "31", warn: "33", info: "32", debug: "90" };

function prettyLine(level: LogLevel, event: string, fields: LogFields): string {
  const time = new Date().toISOString().slice(11, 19);
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` \x1b[90m${name}=\x1b[0m${Array.isArray(value) ? value.join(",") : value}`)
    .join("");
  return `\x1b[90m${time}\x1b[0m \x1b[${COLOURS[level]}m${level.padEnd(5)}\x1b[0m ${event}${rest}\n`;
}

function writeStdout(text: string): void {
  process.stdout.write(text);
}
