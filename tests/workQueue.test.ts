import { describe, expect, test } from "bun:test";
import { ByteBudget } from "../src/http/byteBudget.ts";
import { ContainerWrites } from "../src/http/containerWrites.ts";
import { WorkQueue } from "../src/workQueue.ts";

const refusal = "Too much at once.";

describe("W11: a work queue", () => {
  test("runs tasks in their order, no more at a time than it may, and refuses what finds no room", async () => {
    const queue = new WorkQueue({ parallel: 2, waitingMax: 3, refusal, retryAfterSecs: 7 });
    const done: number[] = [];
    let running = 0;
    const task = (number: number) => async () => {
      running++;
      expect(running).toBeLessThanOrEqual(2);
      await Bun.sleep(1);
      running--;
      done.push(number);
    };
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, number) => queue.run(task(number))));
    expect(done).toEqual([0, 1, 2, 3, 4]);
    const refused = outcomes.slice(5).map((outcome) => outcome.status === "rejected" && outcome.reason);
    for (const error of refused) expect(error).toMatchObject({ status: 503, headers: { "retry-after": "7" } });
    expect({ running: queue.running, pending: queue.pending }).toEqual({ running: 0, pending: 0 });
  });

  test("goes on after tasks that fail, and after those that have waited for too long", async () => {
    const queue = new WorkQueue({ parallel: 1, waitingMax: 10, waitMs: 20, refusal, retryAfterSecs: 1 });
    const end = Promise.withResolvers<void>();
    const first = queue.run(() => end.promise);
    await expect(queue.run(async () => "never")).rejects.toThrow(refusal);
    const second = queue.run(async () => "second");
    end.reject(new Error("broken"));
    await expect(first).rejects.toThrow("broken");
    expect(await second).toBe("second");
    expect(queue.pending).toBe(0);
  });
});

test("W11: changes of one container wait for each other, those of others do not, and nothing is left of idle ones", async () => {
  const writes = new ContainerWrites({ parallel: 1, waitingMax: 1, waitMs: 10_000 });
  const end = Promise.withResolvers<void>();
  const held = [writes.run("a", () => end.promise), writes.run("a", () => end.promise)];
  expect(await writes.run("b", async () => "b")).toBe("b");
  expect(writes.busy).toBe(1);
  const third = await writes.run("a", async () => "a").catch((error) => error);
  expect(third).toMatchObject({ status: 503 });
  end.resolve();
  await Promise.all(held);
  expect(writes.busy).toBe(0);
});

describe("W11: a budget of bytes", () => {
  const MIB = 1024 * 1024;

  test("small messages are free; large ones fit or are refused, whole accounts and single ones", () => {
    const budget = new ByteBudget(16 * MIB);
    for (let messages = 0; messages < 1000; messages++) budget.hold("a").grow(MIB);
    expect(budget.used).toBe(0);

    const [first, second] = [budget.hold("a"), budget.hold("a")];
    first.grow(2 * MIB);
    second.grow(2 * MIB); // a quarter together
    expect(() => second.grow(1)).toThrow(/Too many large requests/);
    const third = budget.hold("b");
    third.grow(12 * MIB); // one alone may have more
    expect(() => budget.hold("c").grow(MIB + 1)).toThrow(/Too many large requests/);
    expect(budget.used).toBe(16 * MIB);
    budget.hold("c").growAnyway(2 * MIB);
    expect(budget.used).toBe(18 * MIB);

    for (const held of [first, second, third, third]) held.release();
    expect(budget.used).toBe(2 * MIB);
  });

  test("the only message may be larger than everything", () => {
    const budget = new ByteBudget(4 * MIB);
    const held = budget.hold("a");
    for (let pieces = 0; pieces < 10; pieces++) held.grow(MIB);
    expect(budget.used).toBe(10 * MIB);
    held.release();
    expect(budget.used).toBe(0);
  });
});
