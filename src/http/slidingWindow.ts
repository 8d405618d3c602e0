/**
 * How often each of many keys came within the last period, in bounded memory (decision P6).
 *
 * Two buckets per key: the count of the running period, and of the one before it the share that still overlaps a window
 * of one period that ends now. Only what was let through counts, so nobody is refused for ever by trying on.
 */

export interface Limit {
  /** Most requests per period; 0 refuses everything. */
  max: number;
  /** Whole seconds, at least 1. */
  periodSecs: number;
}

/** The counts of one key, and its place in one of the table's two lists. */
export interface Counter {
  readonly key: string;
  /** The running period's number since the clock's zero. */
  period: number;
  count: number;
  previousCount: number;
  /** When the last request of either bucket was counted. */
  lastMs: number;
  previousLastMs: number;
  /** Requests refused in the running period. */
  refused: number;
  older: Counter;
  newer: Counter;
}

export class SlidingWindow {
  readonly #counters = new Map<string, Counter>();
  /** Lists of counters, least recently seen first. A list is its own end: `newer` is its oldest member. */
  readonly #open = newCounter("", 0);
  /** Counters that had no room left when they were last seen. Time gives it back without telling us. */
  readonly #blocked = newCounter("", 0);
  /** Where nobody may pass, one counter does for all. */
  readonly #closed: Counter | undefined;
  readonly #periodMs: number;

  constructor(
    readonly limit: Limit,
    /** Most keys that are remembered, at least 1. One takes about 250 bytes. */
    readonly keysMax: number,
  ) {
    this.#periodMs = limit.periodSecs * 1000;
    this.#closed = limit.max === 0 ? newCounter("", 0) : undefined;
  }

  /** Keys in memory. */
  get size(): number {
    return this.#counters.size;
  }

  /** @returns undefined for a key that is not remembered: it has its full limit left */
  find(key: string, nowMs: number): Counter | undefined {
    const counter = this.#closed ?? this.#counters.get(key);
    if (counter) this.#roll(counter, nowMs);
    return counter;
  }

  /** How many requests are left to a counter that `find` gave. */
  remaining(counter: Counter | undefined, nowMs: number): number {
    const { max } = this.limit;
    if (!counter) return max;
    return Math.max(0, max - counter.count - Math.ceil(this.#overlap(counter, nowMs)));
  }

  /**
   * Counts a request that is let through.
   *
   * @param found what `find` gave for this key at this time
   * @returns undefined when there is no room for another key
   */
  add(key: string, found: Counter | undefined, nowMs: number): Counter | undefined {
    const counter = found ?? this.#insert(key, nowMs);
    if (!counter) return undefined;
    counter.count++;
    counter.lastMs = nowMs;
    this.#seen(counter, nowMs);
    return counter;
  }

  /** Counts a refusal. It does not lengthen the window. */
  refuse(counter: Counter, nowMs: number): void {
    counter.refused++;
    this.#seen(counter, nowMs);
  }

  /**
   * Takes one request back.
   *
   * @param period that of the counter when the request was counted
   */
  takeBack(counter: Counter, period: number): void {
    if (counter.period === period) counter.count--;
    else if (counter.period === period + 1 && counter.previousCount > 0) counter.previousCount--;
  }

  /** Milliseconds until a counter has room for one more request. With a limit of 0 that is never: one period. */
  msUntilRoom(counter: Counter, nowMs: number): number {
    const { max } = this.limit;
    if (max === 0) return this.#periodMs;
    if (this.remaining(counter, nowMs) > 0) return 0;
    const { count, previousCount, lastMs, previousLastMs } = counter;
    const end = (counter.period + 1) * this.#periodMs;
    if (count < max) {
      const slidOut = end - Math.floor(((max - 1 - count) * this.#periodMs) / previousCount);
      return Math.min(slidOut, previousLastMs + this.#periodMs) - nowMs;
    }
    const slidOut = end + this.#periodMs - Math.floor(((max - 1) * this.#periodMs) / count);
    return Math.min(slidOut, lastMs + this.#periodMs) - nowMs;
  }

  #roll(counter: Counter, nowMs: number): void {
    const period = Math.floor(nowMs / this.#periodMs);
    if (counter.period === period) return;
    const isNext = counter.period === period - 1;
    counter.previousCount = isNext ? counter.count : 0;
    counter.previousLastMs = counter.lastMs;
    counter.count = 0;
    counter.refused = 0;
    counter.period = period;
  }

  /** The share of the previous bucket that still counts: none of it once its last request is a period old. */
  #overlap({ period, previousCount, previousLastMs }: Counter, nowMs: number): number {
    if (previousCount === 0 || nowMs >= previousLastMs + this.#periodMs) return 0;
    return (previousCount * ((period + 1) * this.#periodMs - nowMs)) / this.#periodMs;
  }

  #seen(counter: Counter, nowMs: number): void {
    unlink(counter);
    append(this.remaining(counter, nowMs) > 0 ? this.#open : this.#blocked, counter);
  }

  #insert(key: string, nowMs: number): Counter | undefined {
    if (this.#counters.size >= this.keysMax && !this.#forgetOne(nowMs)) return undefined;
    const counter = newCounter(key, Math.floor(nowMs / this.#periodMs));
    this.#counters.set(key, counter);
    return counter;
  }

  /**
   * Forgets a key with room left: one that was blocked and no longer is, else the one seen longest ago. The list of the
   * blocked is in order of time and blocking ends within two periods, so looking at its oldest is enough to empty it.
   *
   * When all are blocked none goes, and the new key is let through without being counted. That is safe: to get there,
   * every key in memory has used up its limit within two periods, and whoever owns so many addresses is still counted
   * by the other table, which goes by wider networks. Refusing the newcomer would lock out everybody else instead.
   */
  #forgetOne(nowMs: number): boolean {
    const longestBlocked = this.#blocked.newer;
    let victim = this.#open.newer;
    if (longestBlocked !== this.#blocked) {
      this.#roll(longestBlocked, nowMs);
      if (this.remaining(longestBlocked, nowMs) > 0) victim = longestBlocked;
    }
    if (victim === this.#open) return false;
    unlink(victim);
    this.#counters.delete(victim.key);
    return true;
  }
}

function newCounter(key: string, period: number): Counter {
  const counts = { period, count: 0, previousCount: 0, lastMs: 0, previousLastMs: 0, refused: 0 };
  const counter = { key, ...counts } as Counter;
  counter.older = counter;
  counter.newer = counter;
  return counter;
}

function unlink(counter: Counter): void {
  counter.older.newer = counter.newer;
  counter.newer.older = counter.older;
  counter.older = counter;
  counter.newer = counter;
}

/** Puts a counter that is in no list at the new end of one. */
function append(list: Counter, counter: Counter): void {
  counter.older = list.older;
  counter.newer = list;
  list.older.newer = counter;
  list.older = counter;
}
