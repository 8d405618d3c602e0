import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { PoolActivity } from "../../src/db/activity.ts";
import { connectDatabase } from "../../src/db/connect.ts";
import { ops as queries } from "../../src/db/queries.ts";
import type { Db } from "../../src/db/query.ts";
import { Histogram } from "../../src/histogram.ts";
import { silentLog } from "../../src/log.ts";
import { createTestDatabase, POOL, type TestDatabase } from "../support/database.ts";

const countOf = ({ counts }: Histogram) => counts.reduce((all, one) => all + one, 0);

describe("a pool's activity", () => {
  let database: TestDatabase;
  let db: Db;
  beforeAll(async () => {
    database = await createTestDatabase();
    db = connectDatabase(database.address, { ...POOL, databaseConnectionsMax: 1 }, silentLog);
  });
  afterAll(async () => {
    await db.end({ timeout: 1 });
    await database.db.end({ timeout: 1 });
  });

  test("P8: a statement counts as waiting until a connection takes it, and its wait is measured", async () => {
    const { activity } = db;
    expect(activity.connectionsMax).toBe(1);
    const connection = await db.reserve();
    const answers = [queries.database_state(db, {}), queries.database_state(db, {})];
    await Bun.sleep(20);
    expect({ underWay: activity.underWay, waiting: activity.waiting }).toEqual({ underWay: 2, waiting: 2 });
    connection.release();
    await Promise.all(answers);
    expect({ underWay: activity.underWay, waiting: activity.waiting }).toEqual({ underWay: 0, waiting: 0 });
    expect(countOf(activity.waits)).toBe(2);
    expect(countOf(activity.durations)).toBe(2);
    expect(activity.waits.sum).toBeGreaterThan(2 * 0.019);
    expect(activity.durations.sum).toBeGreaterThan(activity.waits.sum);
  });

  test("P8: a statement that fails ends, and is still prepared when it comes again", async () => {
    const { activity } = db;
    await database.db`alter table job_registry rename to elsewhere`;
    const refused = await queries.job_runs(db, { now: 0n }).catch((error) => error.code);
    await database.db`alter table elsewhere rename to job_registry`;
    expect(refused).toBe("42P01");
    expect({ underWay: activity.underWay, waiting: activity.waiting }).toEqual({ underWay: 0, waiting: 0 });
    await queries.job_runs(db, { now: 0n });
    const prepared = await db`select statement from pg_prepared_statements`;
    expect(prepared.filter(({ statement }) => statement === queries.job_runs.text)).toHaveLength(1);
  });

  test("P8: one that no connection ever took does not wait for ever", () => {
    const activity = new PoolActivity(1);
    const [taken, lost] = [activity.begin(() => {}), activity.begin(() => {})];
    taken.taken();
    taken.taken(); // sent again after a reconnect
    expect(activity.waiting).toBe(1);
    lost.done();
    taken.done();
    expect({ underWay: activity.underWay, waiting: activity.waiting }).toEqual({ underWay: 0, waiting: 0 });
    expect(countOf(activity.waits)).toBe(1);
  });
});

test("a histogram puts a value that equals a bound into that bound's bucket", () => {
  const histogram = new Histogram([1, 2.5]);
  for (const value of [0, 1, 1.01, 2.5, 2.6, 1000]) histogram.add(value);
  expect([...histogram.counts]).toEqual([2, 2, 2]);
  expect(histogram.sum).toBeCloseTo(1007.11, 9);
});
