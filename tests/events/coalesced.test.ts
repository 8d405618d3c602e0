import { expect, test } from "bun:test";
import { coalesced } from "../../src/events/coalesced.ts";

const refuse = (error: unknown) => {
  throw error;
};

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

test("C7: nothing that is added is forgotten, at whatever moment of a run it comes, and one run is under way", async () => {
  for (let workTurns = 0; workTurns < 5; workTurns++) {
    for (let distance = 0; distance < 20; distance++) {
      const done: string[] = [];
      let underWay = 0;
      const adding = coalesced(async (ids) => {
        expect(++underWay).toBe(1);
        await turns(workTurns);
        done.push(...ids);
        underWay--;
      }, refuse);
      adding.add("first");
      await turns(distance);
      adding.add("second");
      await Bun.sleep(0);
      expect(done).toEqual(["first", "second"]);
    }
  }
});

test("C7: what comes during a run is folded into the next one", async () => {
  const done: string[][] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const adding = coalesced(async (ids) => {
    done.push(ids);
    if (done.length === 1) await promise;
  }, refuse);
  for (const id of ["first", "a", "b", "a"]) adding.add(id);
  resolve();
  await adding.settled();
  expect(done).toEqual([["first"], ["a", "b"]]);
});

test("C7: a run that fails is told, and the next one goes ahead", async () => {
  const failures: unknown[] = [];
  const done: string[] = [];
  const adding = coalesced(
    async (ids) => {
      if (ids.includes("bad")) throw new Error("refused");
      done.push(...ids);
    },
    (error) => failures.push(error),
  );
  adding.add("bad");
  adding.add("good");
  await adding.settled();
  expect([failures.length, done]).toEqual([1, ["good"]]);
});
