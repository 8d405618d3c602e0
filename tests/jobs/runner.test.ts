/** P10: the timers. They start with the server, not with the app, and end with it. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";
import { JOBS, type Job } from "../../src/jobs/jobs.ts";
import { type JobRunner, startJobs } from "../../src/jobs/runner.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { countRows } from "./jobRows.ts";

const EVERY_SECOND = "* * * * * *";

let server: TestServer;
const runners: JobRunner[] = [];

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  await server.db`delete from job_registry`;
});
afterEach(async () => {
  for (const runner of runners.splice(0)) await runner.stop(1000);
});

function start(jobs: readonly Job[], pattern?: string): JobRunner {
  const runner = startJobs(createApp(server.services), server.services, jobs, pattern);
  runners.push(runner);
  return runner;
}

/** A job that is always due, and counts its runs. */
function countingJob(work: (stop: AbortSignal) => Promise<number> = async () => 0, name = "Count Runs") {
  const job = {
    name,
    runs: 0,
    periodSecs: () => 0,
    run(_services: unknown, stop: AbortSignal) {
      job.runs++;
      return work(stop);
    },
  };
  return job;
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error("it did not come");
    await Bun.sleep(5);
  }
}

describe("P10: the jobs", () => {
  test("are the reference's six, by its registry's names, and ours; each has a setting", () => {
    expect(JOBS.map(({ name }) => name)).toEqual([
      "Clear Expired Container Invites",
      "Clear Expired Otps",
      "Clear Old User Deletion Requests",
      "Clear Unverified Users",
      "Delete Users",
      "Unblacklist Expired Tokens",
      "Clear Expired Sessions",
      "Purge Tombstones",
      "Delete Idle Containers",
    ]);
    const names = [
      "CLEAR_EXPIRED_CONTAINER_INVITES",
      "CLEAR_EXPIRED_OTPS",
      "CLEAR_OLD_USER_DELETION_REQUESTS",
      "CLEAR_UNVERIFIED_USERS",
      "DELETE_USERS",
      "UNBLACKLIST_EXPIRED_TOKENS",
      "CLEAR_EXPIRED_SESSIONS",
      "PURGE_TOMBSTONES",
      "DELETE_IDLE_CONTAINERS",
    ];
    const env = Object.fromEntries(names.map((name, index) => [`ENTRIES_${name}_JOB_FREQUENCY_SECS`, `${index + 11}`]));
    const loaded = loadConfig(env);
    if (!("config" in loaded)) throw new Error(loaded.problems.join("; "));
    expect(JOBS.map(({ periodSecs }) => periodSecs(loaded.config))).toEqual([11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  test("do not run because an app is built", async () => {
    createApp(server.services);
    await Bun.sleep(1100);
    expect(await countRows(server.db, "job_registry")).toBe(0);
  });

  test("first run right after the start, all of them, and answer to the app's requests as before", async () => {
    const app = createApp(server.services);
    runners.push(startJobs(app, server.services));
    await until(
      async () => (await countRows(server.db, "job_registry", "last_result = 'ok: 0 removed'")) === JOBS.length,
    );
    expect((await app.handle(new Request("http://localhost/api/heartbeat"))).status).toBe(200);
  });

  test("are not run again by a start when they are not due", async () => {
    start(JOBS);
    await until(async () => (await countRows(server.db, "job_registry", "claimed_until is null")) === JOBS.length);
    const before = await server.db`select * from job_registry order by job_name`;
    start(JOBS);
    await Bun.sleep(300);
    expect([...(await server.db`select * from job_registry order by job_name`)]).toEqual([...before]);
  });

  test("are looked at again and again, also one that threw; a slow one holds up no other and does not overlap", async () => {
    let active = 0;
    let mostActive = 0;
    const slow = countingJob(async () => {
      mostActive = Math.max(mostActive, ++active);
      await Bun.sleep(2500);
      active--;
      return 0;
    }, "slow");
    const failing = countingJob(() => Promise.reject(new Error("always")), "failing");
    const quick = countingJob(undefined, "quick");
    start([slow, failing, quick], EVERY_SECOND);
    await until(() => quick.runs >= 4 && failing.runs >= 4);
    expect(slow.runs).toBeLessThanOrEqual(2);
    expect(mostActive).toBe(1);
    await until(() => slow.runs >= 2);
  });

  test("run once per look, however many servers share the database", async () => {
    const job = Object.assign(countingJob(), { periodSecs: () => 3600 });
    for (let servers = 0; servers < 4; servers++) start([job], EVERY_SECOND);
    await Bun.sleep(2200);
    expect(job.runs).toBe(1);
  });
});

describe("P11: a stop", () => {
  test("starts no further run and waits for those under way, which are told", async () => {
    let wasTold = false;
    const job = countingJob(async (stop) => {
      await new Promise((resolve) => stop.addEventListener("abort", resolve));
      await Bun.sleep(100);
      wasTold = true;
      return 5;
    });
    const runner = start([job], EVERY_SECOND);
    await until(() => job.runs === 1);
    await runner.stop(5000);
    expect(wasTold).toBe(true);
    expect((await server.db`select last_result from job_registry`)[0]?.last_result).toBe("stopped: 5 removed");
    await Bun.sleep(1100);
    expect(job.runs).toBe(1);
  });

  test("waits no longer than it may", async () => {
    const job = countingJob(() => new Promise(() => {}));
    const runner = start([job]);
    await until(() => job.runs === 1);
    const startedAt = performance.now();
    await runner.stop(150);
    expect(performance.now() - startedAt).toBeWithin(140, 1000);
  });
});
