import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ApiError } from "../../src/errors.ts";
import {
  createAttemptLimiter,
  createLimiter,
  type Limit,
  type LimitClass,
  type LimiterSettings,
  limitHeaders,
} from "../../src/http/limits.ts";
import { SlidingWindow } from "../../src/http/slidingWindow.ts";
import { createLog, silentLog } from "../../src/log.ts";

const WIDE: Limit = { max: 1_000_000, periodSecs: 60 };

function settings(fairUse: Limit, circuitBreaker: Limit = WIDE): LimiterSettings {
  const limits = { fairUse, circuitBreaker };
  return {
    create: limits,
    read: limits,
    modify: limits,
    "expensive-auth": limits,
    "light-auth": limits,
    "error-report": limits,
  };
}

/** A limiter with a clock to move and the lines that it logged. */
function setUp(fairUse: Limit, circuitBreaker: Limit = WIDE, options: { warnEvery?: number; keysMax?: number } = {}) {
  const clock = { ms: 0 };
  const lines: Record<string, unknown>[] = [];
  const log = createLog("warn", false, (text) => {
    for (const line of text.trim().split("\n")) lines.push(JSON.parse(line));
  });
  const limiter = createLimiter(settings(fairUse, circuitBreaker), {
    log,
    warnEvery: options.warnEvery ?? 0,
    now: () => clock.ms,
    keysMax: options.keysMax,
  });
  const take = (address: string, limitClass: LimitClass = "read") => limiter.take(limitClass, address).allowed;
  const allowedOf = (count: number, address: string) =>
    Array.from({ length: count }, () => take(address)).filter(Boolean).length;
  return { clock, lines, limiter, take, allowedOf };
}

/** The n-th of made-up addresses, each in a /24 of its own up to 16 million. */
function spoofed(n: number): string {
  return `${(n >> 16) & 0xff}.${(n >> 8) & 0xff}.${n & 0xff}.7`;
}

describe("counting", () => {
  test("platform 3.3: the maximum passes, what exceeds it is refused, and a period of silence gives all of it back", () => {
    const { clock, allowedOf } = setUp({ max: 5, periodSecs: 10 });
    clock.ms = 7_000;
    expect(allowedOf(8, "192.0.2.1")).toBe(5);
    clock.ms = 16_999;
    expect(allowedOf(1, "192.0.2.1")).toBeLessThanOrEqual(1);
    clock.ms = 40_000;
    expect(allowedOf(8, "192.0.2.1")).toBe(5);
    clock.ms = 50_000;
    expect(allowedOf(8, "192.0.2.1")).toBe(5);
  });

  test("P6: around the edge of a period no second burst passes", () => {
    const { clock, allowedOf } = setUp({ max: 100, periodSecs: 10 });
    clock.ms = 9_999;
    expect(allowedOf(200, "192.0.2.1")).toBe(100);
    clock.ms = 10_001;
    expect(allowedOf(200, "192.0.2.1")).toBe(0);
    clock.ms = 15_000;
    expect(allowedOf(200, "192.0.2.1")).toBe(50);
  });

  test("platform 10.1: a maximum of 0 lets nobody through, in either limiter", () => {
    const fair = setUp({ max: 0, periodSecs: 10 });
    const breaker = setUp(WIDE, { max: 0, periodSecs: 10 });
    for (let n = 0; n < 100; n++) {
      expect(fair.take(spoofed(n))).toBe(false);
      expect(breaker.take(spoofed(n))).toBe(false);
    }
    expect(fair.limiter.take("read", "192.0.2.1").resetSecs).toBe(10);
  });

  test("platform 3.1: without an address (a unix socket) nothing is limited", () => {
    const { limiter } = setUp({ max: 1, periodSecs: 10 });
    for (let n = 0; n < 10; n++) expect(limiter.take("read", undefined).allowed).toBe(true);
  });

  test("platform 3.4: each class has its own counters", () => {
    const { take } = setUp({ max: 1, periodSecs: 10 });
    expect([take("192.0.2.1", "read"), take("192.0.2.1", "read")]).toEqual([true, false]);
    for (const other of ["create", "modify", "expensive-auth", "light-auth", "error-report"] as const) {
      expect(take("192.0.2.1", other)).toBe(true);
    }
  });

  test("P5: an IPv6 client is its /64, and a mapped IPv4 address is the IPv4 client", () => {
    const { take } = setUp({ max: 1, periodSecs: 10 });
    expect([take("2001:db8:1:2::1"), take("2001:db8:1:2:ffff::9"), take("2001:db8:1:3::1")]).toEqual([
      true,
      false,
      true,
    ]);
    expect([take("192.0.2.1"), take("::ffff:192.0.2.1"), take("192.0.2.2")]).toEqual([true, false, true]);
  });

  test("platform 3.2: a /24, and of IPv6 a /48, share the breaker", () => {
    const { take } = setUp(WIDE, { max: 2, periodSecs: 10 });
    expect(["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.3.1"].map((address) => take(address))).toEqual([
      true,
      true,
      false,
      true,
    ]);
    const v6 = ["2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2:1::1"];
    expect(v6.map((address) => take(address))).toEqual([true, true, false, true]);
  });

  test("platform 10.1: a noisy address does not lock out its /24", () => {
    const { take, allowedOf } = setUp({ max: 3, periodSecs: 10 }, { max: 5, periodSecs: 10 });
    expect(allowedOf(1000, "192.0.2.1")).toBe(3);
    expect(take("192.0.2.2")).toBe(true);
  });

  test("platform 2.2: what the breaker refuses does not count for fair use", () => {
    const { clock, take, allowedOf } = setUp({ max: 3, periodSecs: 1000 }, { max: 1, periodSecs: 1 });
    expect([take("192.0.2.1"), take("192.0.2.2")]).toEqual([true, false]);
    expect(allowedOf(10, "192.0.2.2")).toBe(0);
    for (const ms of [2000, 4000, 6000]) {
      clock.ms = ms;
      expect(take("192.0.2.2")).toBe(true);
    }
  });

  const steps = fc.array(
    fc.record({
      waitMs: fc.oneof(fc.integer({ min: 0, max: 900 }), fc.integer({ min: 0, max: 9000 })),
      key: fc.integer({ min: 1, max: 3 }),
    }),
    { maxLength: 120 },
  );

  test("P6: it agrees with a plain model that keeps every request, and Retry-After holds what it says", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 5 }), (list, max, periodSecs) => {
        const { clock, limiter } = setUp({ max, periodSecs });
        const periodMs = periodSecs * 1000;
        const passed = new Map<number, number[]>();
        for (const { waitMs, key } of list) {
          clock.ms += waitMs;
          const times = passed.get(key) ?? [];
          const start = Math.floor(clock.ms / periodMs) * periodMs;
          const current = times.filter((ms) => ms >= start).length;
          const previous = times.filter((ms) => ms >= start - periodMs && ms < start);
          const isOver = (previous.at(-1) ?? -periodMs) + periodMs <= clock.ms;
          const overlap = isOver ? 0 : (previous.length * (start + periodMs - clock.ms)) / periodMs;
          const verdict = limiter.take("read", `192.0.2.${key}`);
          expect(verdict.allowed).toBe(current + overlap + 1 <= max);
          expect(verdict.remaining).toBe(Math.max(0, Math.floor(max - current - overlap - (verdict.allowed ? 1 : 0))));
          if (verdict.allowed) passed.set(key, [...times, clock.ms]);
          expect(verdict.resetSecs).toBeGreaterThanOrEqual(1);
          expect(verdict.resetSecs).toBeLessThanOrEqual(2 * periodSecs);
        }
        const last = limiter.take("read", "192.0.2.1");
        if (last.allowed) return;
        clock.ms += last.resetSecs * 1000;
        expect(limiter.take("read", "192.0.2.1").allowed).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("P6: classes, clients and subnets together agree with the plain model", () => {
    const fairUse: Limit = { max: 3, periodSecs: 4 };
    const circuitBreaker: Limit = { max: 7, periodSecs: 6 };
    const requests = fc.array(
      fc.record({
        waitMs: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 7000 })),
        limitClass: fc.constantFrom<LimitClass>("create", "read", "error-report"),
        address: fc.constantFrom(
          "192.0.2.1",
          "192.0.2.2",
          "192.0.2.3",
          "198.51.100.1",
          "2001:db8:0:1::1",
          "2001:db8:0:2::1",
        ),
      }),
      { maxLength: 150 },
    );
    /** What both the platform's 3.2 and P5 call one subnet. */
    const subnetOf = (address: string) => (address.startsWith("192.0.2.") ? "192.0.2" : address.slice(0, 8));

    /** Whether a limit has room, by the times of everything that passed under a key. */
    function hasRoom({ max, periodSecs }: Limit, times: readonly number[], nowMs: number): boolean {
      const periodMs = periodSecs * 1000;
      const start = Math.floor(nowMs / periodMs) * periodMs;
      const current = times.filter((ms) => ms >= start).length;
      const previous = times.filter((ms) => ms >= start - periodMs && ms < start);
      const isOver = (previous.at(-1) ?? -periodMs) + periodMs <= nowMs;
      const overlap = isOver ? 0 : (previous.length * (start + periodMs - nowMs)) / periodMs;
      return current + overlap + 1 <= max;
    }

    fc.assert(
      fc.property(requests, (list) => {
        const { clock, take } = setUp(fairUse, circuitBreaker);
        const passed = new Map<string, number[]>();
        for (const { waitMs, limitClass, address } of list) {
          clock.ms += waitMs;
          const keys = [`${limitClass} ${address}`, `${limitClass} ${subnetOf(address)}/`] as const;
          const [own = [], all = []] = keys.map((key) => passed.get(key));
          const expected = hasRoom(fairUse, own, clock.ms) && hasRoom(circuitBreaker, all, clock.ms);
          expect(take(address, limitClass)).toBe(expected);
          if (!expected) continue;
          passed.set(keys[0], [...own, clock.ms]);
          passed.set(keys[1], [...all, clock.ms]);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("W11: Retry-After is not longer than needed: more than a second earlier the request is still refused", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 59_999 }),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 0, max: 90_000 }),
        (startMs, max, waitMs) => {
          const { clock, limiter, allowedOf } = setUp({ max, periodSecs: 60 });
          clock.ms = startMs;
          allowedOf(max, "192.0.2.1");
          clock.ms += waitMs;
          allowedOf(max, "192.0.2.1");
          const { allowed, resetSecs } = limiter.take("read", "192.0.2.1");
          expect(allowed).toBe(false);
          if (resetSecs === 1) return;
          clock.ms += (resetSecs - 1) * 1000 - 1;
          expect(limiter.take("read", "192.0.2.1").allowed).toBe(false);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("bounded memory", () => {
  const BOUND = 1000;
  /** The floods take seconds on a busy machine. */
  const FLOOD_TIMEOUT_MS = 60_000;

  test("P6: a table never holds more keys than its bound", () => {
    const table = new SlidingWindow({ max: 2, periodSecs: 600 }, BOUND);
    for (let n = 0; n < 10_000; n++) {
      const key = spoofed(n);
      table.add(key, table.find(key, n), n);
      expect(table.size).toBe(Math.min(n + 1, BOUND));
    }
  });

  test(
    "P6: a flood from 1,000,000 addresses does not free a blocked key, and the ones seen lately keep their counts",
    () => {
      const { take, allowedOf } = setUp({ max: 2, periodSecs: 600 }, WIDE, { keysMax: BOUND });
      expect(allowedOf(3, "203.0.113.1")).toBe(2);
      expect(take("203.0.113.2")).toBe(true);
      for (let n = 0; n < 1_000_000; n++) {
        take(spoofed(n));
        if (n % 500 === 0) take(`203.0.114.${n % 250}`); // others come and go meanwhile
      }
      expect(take("203.0.113.1")).toBe(false);
      expect(allowedOf(3, "203.0.113.2")).toBe(2); // seen long ago and not blocked: forgotten
      expect(allowedOf(3, spoofed(999_999))).toBe(1); // seen just now: remembered
    },
    FLOOD_TIMEOUT_MS,
  );

  test(
    "P6: with the default bound a flood from 1,000,000 addresses grows memory no further than 100,000, and frees nobody",
    () => {
      const { take, allowedOf } = setUp({ max: 2, periodSecs: 600 }, { max: 5, periodSecs: 600 });
      const heapMb = () => {
        Bun.gc(true);
        return process.memoryUsage().heapUsed / 1_048_576;
      };
      expect(allowedOf(3, "203.0.113.1")).toBe(2);
      const neighbours = ["203.0.114.1", "203.0.114.2", "203.0.114.3"];
      expect(neighbours.map((address) => allowedOf(2, address))).toEqual([2, 2, 1]); // the subnet has no more
      for (let n = 0; n < 200_000; n++) take(spoofed(n));
      const full = heapMb();
      for (let n = 200_000; n < 1_000_000; n++) take(spoofed(n));
      expect(heapMb() - full).toBeLessThan(10);
      expect(take("203.0.113.1")).toBe(false);
      expect(take("203.0.114.4")).toBe(false);
    },
    FLOOD_TIMEOUT_MS,
  );

  test("P6: a key that is blocked no longer gives way again", () => {
    const { clock, take, allowedOf } = setUp({ max: 1, periodSecs: 10 }, WIDE, { keysMax: 10 });
    for (let n = 0; n < 10; n++) take(spoofed(n)); // all blocked, the table is full of them
    clock.ms = 20_000;
    for (let n = 100; n < 110; n++) take(spoofed(n));
    for (let n = 100; n < 110; n++) expect(take(spoofed(n))).toBe(false);
    expect(allowedOf(2, spoofed(0))).toBe(2); // no room for it: again all ten are blocked
  });

  test("P6: when all keys are blocked they stay so, and newcomers pass fair use but still count for their subnet", () => {
    const { take } = setUp({ max: 1, periodSecs: 600 }, { max: 12, periodSecs: 600 }, { keysMax: 10 });
    for (let n = 0; n < 10; n++) take(`203.0.113.${n}`);
    const newcomers = Array.from({ length: 5 }, (_, n) => take(`203.0.113.${100 + n}`));
    expect(newcomers).toEqual([true, true, false, false, false]);
    for (let n = 0; n < 10; n++) expect(take(`203.0.113.${n}`)).toBe(false);
  });

  test("P6: as long as others can go, no blocked key is ever forgotten", () => {
    const visits = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 50, maxLength: 400 });
    fc.assert(
      fc.property(visits, (order) => {
        const { take } = setUp({ max: 3, periodSecs: 600 }, WIDE, { keysMax: 12 });
        const blocked = new Set<number>();
        for (const n of order) {
          const passed = take(spoofed(n));
          if (blocked.has(n)) expect(passed).toBe(false);
          if (!passed) blocked.add(n);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("P6: the least recently seen goes first", () => {
    const { take, allowedOf } = setUp({ max: 3, periodSecs: 600 }, WIDE, { keysMax: 3 });
    for (const address of ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.4"]) take(address);
    expect(allowedOf(3, "192.0.2.1")).toBe(1); // seen twice before: remembered
    expect(allowedOf(3, "192.0.2.3")).toBe(2);
    expect(allowedOf(4, "192.0.2.2")).toBe(3); // was the one to go
  });
});

describe("answers and log", () => {
  test("W11: the headers name class, remaining requests, limit and window", () => {
    const { limiter } = setUp({ max: 2, periodSecs: 30 });
    expect(limitHeaders(limiter.take("read", "192.0.2.1"))).toEqual({
      ratelimit: '"read";r=1;t=30',
      "ratelimit-policy": '"read";q=2;w=30',
    });
  });

  test("W11: a refusal adds Retry-After, which is the RateLimit's t", () => {
    const { limiter } = setUp({ max: 2, periodSecs: 30 });
    limiter.take("light-auth", "192.0.2.1");
    limiter.take("light-auth", "192.0.2.1");
    expect(limitHeaders(limiter.take("light-auth", "192.0.2.1"))).toEqual({
      ratelimit: '"light-auth";r=0;t=30',
      "ratelimit-policy": '"light-auth";q=2;w=30',
      "retry-after": "30",
    });
  });

  test("W11: a refusal by the breaker shows the breaker's limit", () => {
    const { limiter } = setUp(WIDE, { max: 1, periodSecs: 7 });
    limiter.take("read", "192.0.2.1");
    expect(limitHeaders(limiter.take("read", "192.0.2.2"))["ratelimit-policy"]).toBe('"read";q=1;w=7');
  });

  test("platform 3.4: the first refused request warns and each Nth after, with the contract's names", () => {
    const { lines, allowedOf } = setUp({ max: 2, periodSecs: 30 }, WIDE, { warnEvery: 5 });
    allowedOf(14, "203.0.113.77");
    expect(lines.map(({ count }) => count)).toEqual([3, 8, 13]);
    expect(lines[0]).toMatchObject({ level: "warn", limiter: "read_fair_use", limit: 2, network: "203.0.113.0/24" });
  });

  test("platform 3.4: a new period warns again", () => {
    const { clock, lines, allowedOf } = setUp({ max: 1, periodSecs: 10 }, WIDE, { warnEvery: 1000 });
    allowedOf(5, "192.0.2.1");
    clock.ms = 30_000;
    allowedOf(5, "192.0.2.1");
    expect(lines.map(({ count }) => count)).toEqual([2, 2]);
  });

  test("platform 1.2: the breaker and the classes with a hyphen have the contract's names", () => {
    const { lines, limiter } = setUp(WIDE, { max: 1, periodSecs: 30 }, { warnEvery: 1 });
    for (let n = 0; n < 2; n++) limiter.take("expensive-auth", "192.0.2.1");
    expect(lines.map((line) => line.limiter)).toEqual(["expensive_auth_circuit_breaker"]);
  });

  test("platform 10.1: no log line holds a full address", () => {
    const { lines, allowedOf } = setUp({ max: 1, periodSecs: 30 }, { max: 3, periodSecs: 30 }, { warnEvery: 1 });
    for (const address of ["203.0.113.77", "::ffff:203.0.113.78", "2001:db8:1:2::1234"]) allowedOf(5, address);
    expect(lines.length).toBeGreaterThan(10);
    const text = JSON.stringify(lines);
    for (const part of ["113.77", "113.78", "1234", "db8:1:2"]) expect(text).not.toContain(part);
    expect(text).toContain("2001:db8:1::/48");
  });

  test("platform 1.2: 0 means no warning", () => {
    const { lines, allowedOf } = setUp({ max: 1, periodSecs: 30 }, WIDE, { warnEvery: 0 });
    allowedOf(200, "192.0.2.1");
    expect(lines).toEqual([]);
  });

  test("a take needs no log", () => {
    const limiter = createLimiter(settings({ max: 1, periodSecs: 30 }), { log: silentLog, warnEvery: 1 });
    expect(limiter.take("read", "192.0.2.1").allowed).toBe(true);
    expect(limiter.take("read", "192.0.2.1").allowed).toBe(false);
  });
});

describe("attempts", () => {
  const clock = { ms: 0 };
  const create = (max: number, options: { keysMax?: number } = {}) => {
    clock.ms = 0;
    return createAttemptLimiter({ max, periodSecs: 600 }, { now: () => clock.ms, ...options });
  };
  type Attempts = ReturnType<typeof create>;

  function refusal(attempts: Attempts, email: string, network: string | undefined): ApiError | undefined {
    try {
      attempts.begin(email, network);
      return undefined;
    } catch (error) {
      if (error instanceof ApiError) return error;
      throw error;
    }
  }

  /** How many of `count` wrong guesses are let through. */
  function wrong(attempts: Attempts, count: number, email: string, network: string | undefined): number {
    return Array.from({ length: count }, () => refusal(attempts, email, network)).filter((error) => !error).length;
  }

  test("A16: failures are limited per address and client network, and refused with Retry-After", () => {
    const attempts = create(6);
    expect(wrong(attempts, 10, "a@example.org", "192.0.2.1")).toBe(6);
    const error = refusal(attempts, "a@example.org", "192.0.2.1");
    expect(error).toMatchObject({ type: "TOO_MANY_ATTEMPTS", status: 403, headers: { "retry-after": "600" } });
    clock.ms = 600_000;
    expect(wrong(attempts, 10, "a@example.org", "192.0.2.1")).toBe(6);
  });

  test("A16: one stranger does not lock the owner out", () => {
    const attempts = create(6);
    wrong(attempts, 10_000, "a@example.org", "198.51.100.1");
    expect(refusal(attempts, "a@example.org", "192.0.2.1")).toBeUndefined();
    expect(refusal(attempts, "b@example.org", "198.51.100.1")).toBeUndefined();
  });

  test("A16: strangers from many networks together have ten times the limit", () => {
    const attempts = create(6);
    const passed = Array.from({ length: 100 }, (_, n) => wrong(attempts, 6, "a@example.org", spoofed(n)));
    expect(passed.reduce((sum, count) => sum + count, 0)).toBe(60);
  });

  test("A16: successes do not count, however many", () => {
    const attempts = create(2);
    for (let n = 0; n < 100; n++) attempts.begin("a@example.org", "192.0.2.1").succeed();
    expect(wrong(attempts, 5, "a@example.org", "192.0.2.1")).toBe(2);
  });

  test("A16: a success gives back its own attempt once, and no failure of others", () => {
    const attempts = create(3);
    wrong(attempts, 2, "a@example.org", "192.0.2.1");
    const right = attempts.begin("a@example.org", "192.0.2.1");
    for (let n = 0; n < 5; n++) right.succeed();
    expect(wrong(attempts, 5, "a@example.org", "192.0.2.1")).toBe(1);
  });

  test("A16: an attempt that ends in a later period gives back what it took, not a newer failure", () => {
    const attempts = create(2);
    clock.ms = 599_000;
    const slow = attempts.begin("a@example.org", "192.0.2.1");
    clock.ms = 1_198_000;
    expect(wrong(attempts, 1, "a@example.org", "192.0.2.1")).toBe(1);
    clock.ms = 1_199_500;
    slow.succeed();
    expect(wrong(attempts, 5, "a@example.org", "192.0.2.1")).toBe(1);
  });

  test("A16: a success just after the edge of a period leaves no trace in the period before", () => {
    const attempts = create(2);
    clock.ms = 599_000;
    const slow = attempts.begin("a@example.org", "192.0.2.1");
    clock.ms = 600_500;
    expect(wrong(attempts, 1, "a@example.org", "192.0.2.1")).toBe(1);
    slow.succeed();
    expect(wrong(attempts, 5, "a@example.org", "192.0.2.1")).toBe(1);
  });

  test("A16: of 100 wrong passwords at once only the limit reaches the check", async () => {
    const attempts = create(6);
    let checked = 0;
    async function signIn() {
      attempts.begin("a@example.org", "192.0.2.1");
      checked++;
      await Bun.sleep(1); // the hash is computed, and differs
    }
    const results = await Promise.allSettled(Array.from({ length: 100 }, signIn));
    expect(checked).toBe(6);
    expect(results.filter(({ status }) => status === "rejected")).toHaveLength(94);
  });

  test("W10: letter case of an address makes no difference", () => {
    const attempts = create(2);
    expect(wrong(attempts, 2, "A@Example.ORG", "192.0.2.1")).toBe(2);
    expect(wrong(attempts, 2, "a@example.org", "192.0.2.1")).toBe(0);
  });

  test("A16: on a unix socket, where nobody can be told apart, only the limit per address holds", () => {
    expect(wrong(create(6), 100, "a@example.org", undefined)).toBe(60);
  });

  test("A16: a limit of 0 refuses every attempt", () => {
    expect(wrong(create(0), 5, "a@example.org", "192.0.2.1")).toBe(0);
  });

  test("S13: a flood of other addresses forgives nobody", () => {
    const attempts = create(2, { keysMax: 100 });
    expect(wrong(attempts, 3, "a@example.org", "192.0.2.1")).toBe(2);
    for (let n = 0; n < 20_000; n++) attempts.begin(`${n}@example.org`, "192.0.2.2");
    expect(wrong(attempts, 3, "a@example.org", "192.0.2.1")).toBe(0);
  });
});
