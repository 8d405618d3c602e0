/**
 * Every setting of the server, once. The loader, `config print` and sample.env are all made from this table; the
 * shape of `Config` is the shape of this table.
 */
import {
  boolean,
  databaseUrl,
  host,
  integer,
  list,
  logLevel,
  mailbox,
  networks,
  oneOf,
  type SettingType,
  secretBytes,
  text,
  textOrEmpty,
  webAddress,
} from "./types.ts";

/** Reads what another variable says, its default included; undefined when it has none. */
export type ReadText = (env: string) => string | undefined;

export interface Setting<T> {
  /** The environment variable. */
  readonly env: string;
  readonly type: SettingType<Exclude<T, undefined>>;
  /** What to read when the variable is not set. A function follows other settings that stand above it. */
  readonly fallback: string | ((read: ReadText) => string | undefined) | undefined;
  /** For the operator: what it does, with its unit. */
  readonly sentence: string;
  /** Never shown; can also be given as a file, in NAME_FILE. */
  readonly isSecret: boolean;
  /** An older name of the same setting. */
  readonly alias: string | undefined;
}

interface Extras {
  isSecret?: boolean;
  alias?: string;
}

/** A setting that always has a value. */
function setting<T>(
  env: string,
  type: SettingType<Exclude<T, undefined>>,
  fallback: string | ((read: ReadText) => string),
  sentence: string,
): Setting<T> {
  return { env, type, fallback, sentence, isSecret: false, alias: undefined };
}

/** A setting that may be missing. */
function optional<T>(
  env: string,
  type: SettingType<Exclude<T, undefined>>,
  sentence: string,
  { isSecret = false, alias }: Extras = {},
): Setting<T | undefined> {
  return { env, type: type as Setting<T | undefined>["type"], fallback: undefined, sentence, isSecret, alias };
}

const U32_MAX = 4_294_967_295;
const HOUR_SECS = 3600;
const YEAR_MINS = 525_600;
/** The reference refused longer windows. */
const LIMITER_PERIOD_MAX_SECS = 14 * 86_400 - 1;
/** 1 GiB, more than a process can handle in one piece. */
const SIZE_MAX_KB = 1_048_576;

/** Requests that one limiter lets through. */
function limiter(envPrefix: string, max: number, periodSecs: number, what: string) {
  return {
    max: setting<number>(`${envPrefix}_MAX_PER_PERIOD`, integer(1, U32_MAX), String(max), `Most ${what} in one period.`),
    periodSecs: setting<number>(
      `${envPrefix}_PERIOD_SECS`,
      integer(1, LIMITER_PERIOD_MAX_SECS),
      String(periodSecs),
      "Length of that period in seconds.",
    ),
  };
}

/** The two limiters of a class; each default is [requests, seconds]. */
function limiterClass(envName: string, what: string, fairUse: [number, number], breaker: [number, number]) {
  // The reference left "LIMITER" out of the names of one class.
  const suffix = envName === "ERROR_REPORT" ? "" : "_LIMITER";
  return {
    fairUse: limiter(`ENTRIES_${envName}_FAIR_USE${suffix}`, ...fairUse, `${what} of one client`),
    circuitBreaker: limiter(
      `ENTRIES_${envName}_CIRCUIT_BREAKER${suffix}`,
      ...breaker,
      `${what} of one network (IPv4 /24, IPv6 /64)`,
    ),
  };
}

/** The settings by group, in the order of sample.env. */
export const GROUPS = {
  "Server": {
    bindAddress: setting<string>("ENTRIES_BIND_ADDRESS", host, "127.0.0.1", "Address to listen on; 0.0.0.0 or :: for all of this machine's."),
    port: setting<number>("ENTRIES_PORT", integer(0, 65_535), "9000", "TCP port to listen on; 0 takes a free one. --port wins over it."),
    dataDir: setting<string>("ENTRIES_DATA_DIR", text("the path of a directory"), "./entries-data", "Directory of the embedded database, of generated secrets and of mail that is not sent. --data-dir wins over it."),
    publicUrl: setting<string>("ENTRIES_PUBLIC_URL", webAddress, (read) => `http://127.0.0.1:${read("ENTRIES_PORT")}`, "Where clients reach this server; the base of links in mails. Default: http://127.0.0.1 with the port."),
    corsAllowedOrigins: setting<readonly string[]>("ENTRIES_CORS_ALLOWED_ORIGINS", list, "", "Origins of web apps on other sites that may use this server with cookies, separated by commas, like https://app.example.org."),
    trustedProxies: setting<readonly string[]>("ENTRIES_TRUSTED_PROXIES", networks, "127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7", "Proxies whose X-Forwarded-For header is believed, separated by commas; empty: none."),
    logLevel: setting<LogLevelOf>("ENTRIES_LOG_LEVEL", logLevel, "info", "The least important events that are logged: error, warn, info or debug."),
  },
} as const;
