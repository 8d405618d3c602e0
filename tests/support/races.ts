/** Makes races certain: a transaction of the test holds a container's lock until a request waits for it. */
import type { Db, Executor } from "../../src/db/query.ts";

/**
 * Takes the container's lock, starts a request, waits until that waits for the lock, makes a change in the meantime,
 * and commits it. @returns what the request answered
 */
export async function overtake<Result>(
  db: Db,
  container_id: string,
  request: () => Promise<Result>,
  change: (transaction: Executor) => Promise<unknown>,
): Promise<Result> {
  let answer: Promise<Result> | undefined;
  await db.begin(async (transaction) => {
    await transaction`select from container_heads where container_id = ${container_id} for update`;
    answer = request();
    await someoneWaits(db, 1);
    await change(transaction);
  });
  if (!answer) throw new Error("the request was not started");
  return answer;
}

/**
 * Holds a lock until every one of several requests waits for it, then lets them go at once. @returns their answers
 *
 * @param lock takes it within the transaction
 */
export async function heldUp<Result>(
  db: Db,
  lock: (transaction: Executor) => Promise<unknown>,
  requests: readonly (() => Promise<Result>)[],
): Promise<Result[]> {
  let answers: Promise<Result[]> | undefined;
  await db.begin(async (transaction) => {
    await lock(transaction);
    answers = Promise.all(requests.map((request) => request()));
    await someoneWaits(db, requests.length);
  });
  return answers ?? [];
}

/** Waits until that many sessions of this database wait for a lock. @throws Error after 5 s */
export async function someoneWaits(db: Db, count: number): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (performance.now() < deadline) {
    const waiting = await db`
      select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    if (waiting.count >= count) return;
    await Bun.sleep(2);
  }
  throw new Error("nobody waits for the lock");
}

/** Small and seeded, so that a history can be run again (mulberry32). @returns numbers from 0 (included) to 1 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
