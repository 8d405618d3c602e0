/**
 * Rate limits (decisions W11, P6): per class of routes, per client ("fair use") and per subnet ("circuit breaker").
 * The counts are in memory and per process.
 */
import { createHmac, randomBytes } from "node:crypto";
import { ApiError } from "../errors.ts";
import type { Log } from "../log.ts";
import { breakerNetwork, networkKeys } from "./address.ts";
import { type Counter, type Limit, SlidingWindow } from "./slidingWindow.ts";

export type { Limit } from "./slidingWindow.ts";

export type LimitClass = "create" | "read" | "modify" | "expensive-auth" | "light-auth" | "error-report";

export type LimiterSettings = Record<LimitClass, { fairUse: Limit; circuitBreaker: Limit }>;

export interface Verdict {
  allowed: boolean;
  limitClass: LimitClass;
  /** The limit that refused the request, else the client's own. */
  limit: Limit;
  /** Requests left in the window. */
  remaining: number;
  /** Seconds: with requests left, how long they must do; without, when the next one is let through. At least 1. */
  resetSecs: number;
}

export interface Limiter {
  /** Counts a request. Without an address (a unix socket) nothing is limited. */
  take(limitClass: LimitClass, address: string | undefined): Verdict;
  /** How many requests each limiter has refused since the start, by the name that the log gives it. */
  refusals(): { limiter: string; count: number }[];
}

export interface LimiterOptions {
  log: Log;
  /** A warning at a key's first refusal in a period and at every so many after it; 0 for none. */
  warnEvery: number;
  /** Milliseconds, never going back. */
  now?: () => number;
  /** Keys per table; there are two tables per class. */
  keysMax?: number;
}

/** One limiter: a table of counters with the name that the log gives it. */
interface Table {
  name: string;
  window: SlidingWindow;
  /** Requests since the start. */
  refused: number;
}

const KEYS_MAX = 100_000;

export function createLimiter(settings: LimiterSettings, options: LimiterOptions): Limiter {
  const { log, warnEvery, now = () => performance.now(), keysMax = KEYS_MAX } = options;

  function tablesOf(limitClass: LimitClass): { fairUse: Table; circuitBreaker: Table } {
    const { fairUse, circuitBreaker } = settings[limitClass];
    const name = limitClass.replace("-", "_");
    return {
      fairUse: { name: `${name}_fair_use`, window: new SlidingWindow(fairUse, keysMax), refused: 0 },
      circuitBreaker: {
        name: `${name}_circuit_breaker`,
        window: new SlidingWindow(circuitBreaker, keysMax),
        refused: 0,
      },
    };
  }

  const tables: Record<LimitClass, { fairUse: Table; circuitBreaker: Table }> = {
    create: tablesOf("create"),
    read: tablesOf("read"),
    modify: tablesOf("modify"),
    "expensive-auth": tablesOf("expensive-auth"),
    "light-auth": tablesOf("light-auth"),
    "error-report": tablesOf("error-report"),
  };

  function refuse(limitClass: LimitClass, table: Table, counter: Counter, address: string, time: number) {
    const { name, window } = table;
    table.refused++;
    window.refuse(counter, time);
    const { limit } = window;
    if (warnEvery > 0 && (counter.refused - 1) % warnEvery === 0) {
      const count = limit.max + counter.refused;
      log.warn("rate limit reached", { limiter: name, network: breakerNetwork(address), count, limit: limit.max });
    }
    return { allowed: false, limitClass, limit, remaining: 0, resetSecs: secsUntilRoom(window, counter, time) };
  }

  return {
    take(limitClass, address) {
      const { fairUse, circuitBreaker } = tables[limitClass];
      const { limit } = fairUse.window;
      if (address === undefined) {
        return { allowed: true, limitClass, limit, remaining: limit.max, resetSecs: limit.periodSecs };
      }
      const time = Math.floor(now());
      const keys = networkKeys(address);
      // Both are asked before either counts: one noisy client must not use up what its neighbours share, and a subnet
      // that is shut must not use up what its clients have.
      const client = fairUse.window.find(keys.client, time);
      if (client && fairUse.window.remaining(client, time) === 0) {
        return refuse(limitClass, fairUse, client, address, time);
      }
      const neighbours = circuitBreaker.window.find(keys.subnet, time);
      if (neighbours && circuitBreaker.window.remaining(neighbours, time) === 0) {
        return refuse(limitClass, circuitBreaker, neighbours, address, time);
      }
      circuitBreaker.window.add(keys.subnet, neighbours, time);
      const counted = fairUse.window.add(keys.client, client, time);
      const remaining = fairUse.window.remaining(counted, time);
      const resetSecs = counted && remaining === 0 ? secsUntilRoom(fairUse.window, counted, time) : limit.periodSecs;
      return { allowed: true, limitClass, limit, remaining, resetSecs };
    },
    refusals: () =>
      Object.values(tables).flatMap(({ fairUse, circuitBreaker }) =>
        [fairUse, circuitBreaker].map(({ name, refused }) => ({ limiter: name, count: refused })),
      ),
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

function secsUntilRoom(window: SlidingWindow, counter: Counter, nowMs: number): number {
  return Math.max(1, Math.ceil(window.msUntilRoom(counter, nowMs) / 1000));
}

export interface AttemptLimiter {
  /**
   * Counts a guess at a secret before it is checked, so that guesses sent at once cannot slip past. It stays counted
   * unless it succeeds.
   *
   * @param email in any ASCII case
   * @param network of the client (`clientNetwork`); undefined on a unix socket, where clients cannot be told apart and
   * only the limit per address holds
   * @throws ApiError TOO_MANY_ATTEMPTS with `Retry-After`
   */
  begin(email: string, network: string | undefined): Attempt;
}

export interface Attempt {
  /** The guess was right, or none was checked: it does not count. */
  succeed(): void;
}

/** A stranger's failures elsewhere may not lock an owner out: per address the limit is this many times as high. */
const PER_ADDRESS_FACTOR = 10;

/**
 * Limits wrong passwords per (address, client network) and, ten times as high, per address (decision A16). What the
 * first refuses does not count for the second. Addresses are kept as HMAC-SHA256 under a key of this process.
 */
export function createAttemptLimiter(
  limit: Limit,
  { now = () => performance.now(), keysMax = KEYS_MAX }: { now?: () => number; keysMax?: number } = {},
): AttemptLimiter {
  const secret = randomBytes(32);
  const perClient = new SlidingWindow(limit, keysMax);
  const perAddress = new SlidingWindow({ ...limit, max: limit.max * PER_ADDRESS_FACTOR }, keysMax);

  /** What one table knows of a key; throws when it has no room left. */
  function open(window: SlidingWindow, key: string, time: number): Counter | undefined {
    const counter = window.find(key, time);
    if (!counter || window.remaining(counter, time) > 0) return counter;
    window.refuse(counter, time);
    throw tooManyAttempts(secsUntilRoom(window, counter, time));
  }

  /** Counts; the result takes it back. */
  function reserve(window: SlidingWindow, key: string, found: Counter | undefined, time: number): () => void {
    const counter = window.add(key, found, time);
    if (!counter) return () => {};
    const { period } = counter;
    return () => window.takeBack(counter, period);
  }

  return {
    begin(email, network) {
      const time = Math.floor(now());
      const addressKey = createHmac("sha256", secret).update(asciiLowerCase(email)).digest("base64");
      const clientKey = network === undefined ? undefined : `${addressKey} ${network}`;
      const client = clientKey === undefined ? undefined : open(perClient, clientKey, time);
      const all = open(perAddress, addressKey, time);
      const undo = [reserve(perAddress, addressKey, all, time)];
      if (clientKey !== undefined) undo.push(reserve(perClient, clientKey, client, time));
      return {
        succeed() {
          for (const takeBack of undo.splice(0)) takeBack();
        },
      };
    },
  };
}

function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

function tooManyAttempts(retryAfterSecs: number): ApiError {
  const headers = { "retry-after": String(retryAfterSecs) };
  return new ApiError("TOO_MANY_ATTEMPTS", "Too many failed attempts; try again later.", { headers });
}
