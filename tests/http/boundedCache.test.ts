import { expect, test } from "bun:test";
import { BoundedCache } from "../../src/http/boundedCache.ts";

test("a bounded cache forgets what was not used for longest and keeps what is in use", () => {
  const cache = new BoundedCache<number>(10);
  for (let number = 0; number < 1000; number++) {
    cache.set(String(number), number);
    expect(cache.get("0")).toBe(0);
    expect(cache.get(String(number))).toBe(number);
  }
  const kept = Array.from({ length: 1000 }, (_, number) => cache.get(String(number))).filter(
    (value) => value !== undefined,
  );
  expect(kept.length).toBeLessThanOrEqual(10);
});

test("a bounded cache holds at least the half of its size that was used last", () => {
  const cache = new BoundedCache<number>(10);
  for (let number = 0; number < 1000; number++) cache.set(String(number), number);
  for (let number = 995; number < 1000; number++) expect(cache.get(String(number))).toBe(number);
});

test("a bounded cache answers the newest value of a key that it got twice", () => {
  const cache = new BoundedCache<string>(4);
  cache.set("key", "old");
  for (const other of ["a", "b", "c"]) cache.set(other, other); // moves "key" to the old generation
  cache.set("key", "new");
  for (const other of ["d", "e"]) {
    cache.set(other, other);
    expect(cache.get("key")).toBe("new");
  }
});
