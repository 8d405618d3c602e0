/**
 * Rate limits (decisions W11, P6): per class of routes, per client ("fair use") and per subnet ("circuit breaker").
 * Sliding windows of two buckets in bounded memory; per process.
 */
import { createHmac, randomBytes } from "node:crypto";
import { ApiError } from "../errors.ts";
import type { Log } from "../log.ts";
import { breakerNetwork, clientNetwork } from "./address.ts";

export type LimitClass = "create" | "read" | "modify" | "expensive-auth" | "light-auth" | "error-report";

export interface Limit {
  max: number;
  periodSecs: number;
}

export type LimiterSettings = Record<LimitClass, { fairUse: Limit; circuitBreaker: Limit }>;

export interface Verdict {
  allowed: boolean;
  limitClass: LimitClass;
  limit: Limit;
  /** Requests left in the window. */
  remaining: number;
  /** Seconds after which a refused client may try again. */
  resetSecs: number;
}

export interface Limiter {
  /** Counts a request. Without an address (a unix socket) nothing is limited. */
  take(limitClass: LimitClass, address: string | undefined): Verdict;
}

interface LimiterOptions {
  log: Log;
  /** A warning at the first refusal of a window and every so many after it; 0 for none. */
  warnEvery: number;
  /** Milliseconds, never going back. */
  now?: () => number;
  /** Keys per table. */
  keysMax?: number;
}

const KEYS_MAX = 100_000;

export function createLimiter(settings: LimiterSettings, options: LimiterOptions): Limiter {
  const { now = () => performance.now(), keysMax = KEYS_MAX } = options;
  const tables = Object.fromEntries(
    Object.entries(settings).map(([limitClass, { fairUse, circuitBreaker }]) => [
      limitClass,
      { fairUse: new SlidingWindows(fairUse, keysMax), circuitBreaker: new SlidingWindows(circuitBreaker, keysMax) },
    ]),
  ) as Record<LimitClass, { fairUse: SlidingWindows; circuitBreaker: SlidingWindows }>;

  function warn(limitClass: LimitClass, kind: string, network: string, { refused, limit }: WindowState): void {
    const { log, warnEvery } = options;
    if (warnEvery === 0 || (refused - 1) % warnEvery !== 0) return;
    log.warn("rate limit", { limiter: `${limitClass} ${kind}`, network, refused, limit: limit.max });
  }

  return {
    take(limitClass, address) {
      const { fairUse, circuitBreaker } = tables[limitClass];
      if (address === undefined) {
        return { allowed: true, limitClass, limit: fairUse.limit, remaining: fairUse.limit.max, resetSecs: 0 };
      }
      // Fair use first: what it refuses does not count for the subnet, or one noisy client would lock out its neighbours.
      const time = now();
      const client = fairUse.take(clientNetwork(address), time);
      if (!client.allowed) {
        warn(limitClass, "fair use", breakerNetwork(address), client);
        return { limitClass, ...client };
      }
      const neighbours = circuitBreaker.take(breakerNetwork(address), time);
      if (!neighbours.allowed) warn(limitClass, "circuit breaker", breakerNetwork(address), neighbours);
      return { limitClass, ...(neighbours.allowed ? client : neighbours) };
    },
  };
}

/** `RateLimit`, `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) and, for a refusal, `Retry-After`. */
export function limitHeaders({ allowed, limitClass, limit, remaining, resetSecs }: Verdict): Record<string, string> {
  return {
    ratelimit: `"${limitClass}";r=${remaining};t=${resetSecs}`,
    "ratelimit-policy": `"${limitClass}";q=${limit.max};w=${limit.periodSecs}`,
    ...(allowed ? {} : { "retry-after": String(resetSecs) }),
  };
}

interface Window {
  /** Number of the current period since the clock's zero. */
  period: number;
  count: number;
  previousCount: number;
  refused: number;
}

interface WindowState {
  allowed: boolean;
  limit: Limit;
  remaining: number;
  resetSecs: number;
  refused: number;
}

/**
 * Counts per key over the last period: this bucket's count plus the part of the previous bucket's that still overlaps.
 * Only allowed requests count, so that a client that keeps trying is not refused for ever.
 */
export class SlidingWindows {
  /** Least recently seen first. */
  readonly #windows = new Map<string, Window>();
  readonly #periodMs: number;

  constructor(
    readonly limit: Limit,
    readonly keysMax: number,
  ) {
    this.#periodMs = limit.periodSecs * 1000;
  }

  get size(): number {
    return this.#windows.size;
  }

  take(key: string, timeMs: number): WindowState {
    const window = this.#touch(key, timeMs);
    const elapsed = (timeMs % this.#periodMs) / this.#periodMs;
    const used = window.previousCount * (1 - elapsed) + window.count;
    const allowed = used + 1 <= this.limit.max;
    if (allowed) window.count++;
    else window.refused++;
    return {
      allowed,
      limit: this.limit,
      remaining: Math.max(0, Math.floor(this.limit.max - used - (allowed ? 1 : 0))),
      resetSecs: this.#secsUntilRoom(window, elapsed),
      refused: window.refused,
    };
  }

  /** Takes one back. */
  giveBack(key: string): void {
    const window = this.#windows.get(key);
    if (window && window.count > 0) window.count--;
  }

  #touch(key: string, timeMs: number): Window {
    const period = Math.floor(timeMs / this.#periodMs);
    const known = this.#windows.get(key);
    const window = known ?? { period, count: 0, previousCount: 0, refused: 0 };
    if (window.period !== period) {
      window.previousCount = window.period === period - 1 ? window.count : 0;
      window.count = 0;
      window.refused = 0;
      window.period = period;
    }
    if (known) this.#windows.delete(key);
    else this.#makeRoom(period);
    this.#windows.set(key, window);
    return window;
  }

  /**
   * Forgets the key that was seen longest ago, unless it is blocked: a flood of made-up addresses must not free it.
   * Blocked keys are moved to the end instead; where all of a long stretch are blocked, the oldest goes after all.
   */
  #makeRoom(period: number): void {
    if (this.#windows.size < this.keysMax) return;
    for (let looked = 0; looked < LOOK_AT_MAX; looked++) {
      const [oldest] = this.#windows;
      if (!oldest) return;
      const [key, window] = oldest;
      this.#windows.delete(key);
      const isBlocked = window.period >= period - 1 && window.count + window.previousCount >= this.limit.max;
      if (!isBlocked || looked === LOOK_AT_MAX - 1) return;
      this.#windows.set(key, window);
    }
  }

  /** When the previous bucket has slid far enough out for one more request; at least 1. */
  #secsUntilRoom(window: Window, elapsed: number): number {
    const { max, periodSecs } = this.limit;
    const room = max - 1;
    if (window.count <= room && window.previousCount > 0) {
      const share = 1 - (room - window.count) / window.previousCount;
      return Math.max(1, Math.ceil((share - elapsed) * periodSecs));
    }
    const untilNext = 1 - elapsed;
    const afterNext = window.count > room ? Math.max(0, 1 - Math.max(0, room) / window.count) : 0;
    return Math.max(1, Math.ceil((untilNext + afterNext) * periodSecs));
  }
}

/** How far makeRoom searches for a key that is not blocked, so that one request never costs a walk of the table. */
const LOOK_AT_MAX = 64;

export interface AttemptLimiter {
  /**
   * Counts a guess at a secret before it is checked, so that guesses sent at once cannot slip past.
   *
   * @param network of the client
   * @throws ApiError TOO_MANY_ATTEMPTS with `Retry-After`
   */
  begin(address: string, network: string): Attempt;
}

export interface Attempt {
  /** The guess was right, or none was checked: it does not count. */
  succeed(): void;
}

/** A stranger's failures elsewhere may not lock an owner out: per address the limit is this many times as high. */
const PER_ADDRESS_FACTOR = 10;

/**
 * Limits wrong passwords per (address, client network) and, ten times as high, per address (decision A16). Addresses
 * are kept as HMAC under a key of this process.
 */
export function createAttemptLimiter(
  limit: Limit,
  { now = () => performance.now(), keysMax = KEYS_MAX }: { now?: () => number; keysMax?: number } = {},
): AttemptLimiter {
  const key = randomBytes(32);
  const perClient = new SlidingWindows(limit, keysMax);
  const perAddress = new SlidingWindows({ ...limit, max: limit.max * PER_ADDRESS_FACTOR }, keysMax);
  const hashed = (text: string) => createHmac("sha256", key).update(text).digest("base64");

  return {
    begin(address, network) {
      const addressKey = hashed(address);
      const clientKey = hashed(`${address}\n${network}`);
      const time = now();
      const client = perClient.take(clientKey, time);
      if (!client.allowed) throw tooManyAttempts(client.resetSecs);
      const all = perAddress.take(addressKey, time);
      if (!all.allowed) {
        perClient.giveBack(clientKey);
        throw tooManyAttempts(all.resetSecs);
      }
      let isOver = false;
      return {
        succeed() {
          if (isOver) return;
          isOver = true;
          perClient.giveBack(clientKey);
          perAddress.giveBack(addressKey);
        },
      };
    },
  };
}

function tooManyAttempts(retryAfterSecs: number): ApiError {
  const headers = { "retry-after": String(retryAfterSecs) };
  return new ApiError("TOO_MANY_ATTEMPTS", "Too many failed attempts; try again later.", { headers });
}
