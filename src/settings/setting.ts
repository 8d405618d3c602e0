/** What a setting is, and the words to declare one in the table. */
import { integer, type SettingType } from "./types.ts";

/** Reads what another variable says, its default included; undefined when it says nothing. */
export type ReadText = (env: string) => string | undefined;

export interface Setting<T> {
  /** The environment variable. */
  readonly env: string;
  readonly type: SettingType<T>;
  /** The text that holds when the variable is not set. A function follows settings that stand above it in the table. */
  readonly fallback: string | ((read: ReadText) => string | undefined) | undefined;
  /** For the operator: what it does, with its unit. */
  readonly sentence: string;
  /** Never shown; can also be given as a file, named in `NAME_FILE`. */
  readonly isSecret: boolean;
  /** An older name of the same setting. */
  readonly alias: string | undefined;
}

/** A setting that always has a value. */
export function setting<T>(
  env: string,
  type: SettingType<T>,
  fallback: Exclude<Setting<T>["fallback"], undefined>,
  sentence: string,
): Setting<T> {
  return { env, type, fallback, sentence, isSecret: false, alias: undefined };
}

/** A setting that may be missing. */
export function optional<T>(
  env: string,
  type: SettingType<T>,
  sentence: string,
  options: { isSecret?: boolean; alias?: string } = {},
): Setting<T | undefined> {
  return { env, type, fallback: undefined, sentence, isSecret: options.isSecret ?? false, alias: options.alias };
}

const U32_MAX = 4_294_967_295;
/** The longest window that the reference took: under 14 days. */
export const LIMITER_PERIOD_MAX_SECS = 14 * 86_400 - 1;

/**
 * The two limiters of a class of requests. Each default is [requests, seconds].
 * @param envName the class as it stands in the names of variables
 * @param requests what is counted, as the subject of a sentence
 */
export function limiterClass(
  envName: string,
  requests: string,
  fairUse: readonly [number, number],
  circuitBreaker: readonly [number, number],
) {
  // The reference left the word out of the names of one class.
  const suffix = envName === "ERROR_REPORT" ? "" : "_LIMITER";
  return {
    fairUse: limiter(`ENTRIES_${envName}_FAIR_USE${suffix}`, fairUse, `${requests}, from one client,`),
    circuitBreaker: limiter(
      `ENTRIES_${envName}_CIRCUIT_BREAKER${suffix}`,
      circuitBreaker,
      `${requests}, from one network (IPv4 /24, IPv6 /48),`,
    ),
  };
}

function limiter(envPrefix: string, [max, periodSecs]: readonly [number, number], what: string) {
  return {
    max: setting(`${envPrefix}_MAX_PER_PERIOD`, integer(1, U32_MAX), String(max), `Most ${what} per period.`),
    periodSecs: setting(
      `${envPrefix}_PERIOD_SECS`,
      integer(1, LIMITER_PERIOD_MAX_SECS),
      String(periodSecs),
      "Length of that period in seconds.",
    ),
  };
}
