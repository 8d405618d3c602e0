/** `jobs list` and `jobs run`: what they say, and that they go by the same claim as the servers (decision P10). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { UsageError } from "../../src/commands/command.ts";
import { listJobs, requireJob, runJob } from "../../src/commands/jobs.ts";
import type { Db } from "../../src/db/query.ts";
import { JOBS, type Job } from "../../src/jobs/jobs.ts";
import { runIfDue, runNow } from "../../src/jobs/run.ts";
import { readJobStatuses } from "../../src/jobs/status.ts";
import { createLog } from "../../src/log.ts";
import { confirm, isThere, signUp } from "../jobs/dueAccounts.ts";
import { GO_ON, inMs, jobNamed, MINUTE_MS } from "../jobs/jobRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
/** The command's own connections. */
let db: Db;
let logged = "";
const log = createLog("warn", false, (text) => {
  logged += text;
});
beforeAll(async () => {
  server = await startTestServer();
  db = server.database.connect();
});
afterAll(async () => {
  await db.end();
  await server.stop();
});
beforeEach(async () => {
  await db`delete from job_registry`;
  logged = "";
});

const run = (job: Job, stop = GO_ON) => runJob(server.services.config, db, log, job, stop);
const list = async () => JSON.parse(await listJobs(server.services.config, db, true));

function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, open: resolve };
}

/** A job of ours with other work. */
function jobThat(work: (stop: AbortSignal) => Promise<number>, name = "Purge Tombstones"): Job {
  return { ...jobNamed(name), run: (_services, stop) => work(stop) };
}

describe("issue 6.6: jobs run", () => {
  test("runs a job that is not due, by its name in any case, notes it and tells how much went", async () => {
    const account = await signUp(server);
    await confirm(server, account);
    expect(
      await runIfDue(
        server.services,
        jobThat(async () => 0, "Delete Users"),
        GO_ON,
      ),
    ).toBe(true);
    expect(await isThere(db, account)).toBe(true);

    expect(await run(requireJob("dELETE uSERS"))).toMatch(/^Delete Users: 1 removed in \d+ m?s\.\n$/);
    expect(await isThere(db, account)).toBe(false);
    const [row] = await db`select * from job_registry where job_name = 'Delete Users'`;
    expect(row).toMatchObject({ last_result: "ok: 1 removed", claimed_until: null, failed_runs: 0 });
  });

  test("names the jobs when there is none of that name", () => {
    const refusal = () => requireJob("Delete");
    expect(refusal).toThrow(UsageError);
    for (const { name } of JOBS) expect(refusal).toThrow(`"${name}"`);
  });

  test("P10: never runs beside a server's run, and says so; nor does a server run beside it", async () => {
    const { passed, open } = gate();
    let runs = 0;
    const slow = jobThat(() => {
      runs++;
      return passed.then(() => 4);
    });
    const inServer = runIfDue(server.services, slow, GO_ON);
    while (runs === 0) await Bun.sleep(1);
    await expect(run(slow)).rejects.toThrow('Another process is running "Purge Tombstones" now.');
    open();
    expect(await inServer).toBe(true);

    const second = gate();
    const slowToo = jobThat(() => {
      runs++;
      return second.passed.then(() => 5);
    });
    const inCommand = run(slowToo);
    while (runs === 1) await Bun.sleep(1);
    const looks = [slowToo, { ...slowToo, periodSecs: () => 0 }].map((job) => runIfDue(server.services, job, GO_ON));
    expect(await Promise.all(looks)).toEqual([false, false]);
    second.open();
    expect(await inCommand).toContain("5 removed");
    expect(runs).toBe(2);
  });

  test("P10: of many at once one runs at a time", async () => {
    let active = 0;
    let mostActive = 0;
    const job = jobThat(async () => {
      mostActive = Math.max(mostActive, ++active);
      await Bun.sleep(20);
      active--;
      return 1;
    });
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => runNow(server.services, job, GO_ON)));
    expect(mostActive).toBe(1);
    expect(outcomes.filter((outcome) => outcome !== undefined).length).toBeGreaterThan(0);
  });

  test("P10: a failure is counted, told by its code alone, and due again", async () => {
    const job = jobThat(async () => Number(await server.db`select 'ann@example.com'::int`));
    await expect(run(job)).rejects.toThrow('"Purge Tombstones" failed (22P02); it is due again at once.');
    expect(logged).not.toContain("ann@");
    const status = (await list()).find(({ name }: Job) => name === job.name);
    expect(status).toMatchObject({ state: "due", last_result: "failed: 22P02", failed_runs: 1 });
  });

  test("stopped half-way is a failure and due again", async () => {
    const stop = new AbortController();
    const job = jobThat(async () => {
      stop.abort();
      return 12;
    });
    await expect(run(job, stop.signal)).rejects.toThrow('"Purge Tombstones" was stopped after 12 were removed');
    expect((await list()).find(({ name }: Job) => name === job.name).state).toBe("due");
  });
});

describe("issue 6.6: jobs list", () => {
  test("has every job, also those that never ran", async () => {
    const jobs = await list();
    expect(jobs.map(({ name }: Job) => name)).toEqual(JOBS.map(({ name }) => name));
    for (const job of jobs) {
      expect(job).toMatchObject({ state: "due", last_run: null, last_result: null, last_duration_ms: null });
    }
    const text = await listJobs(server.services.config, db);
    expect(text.split("\n")).toHaveLength(JOBS.length + 2);
    expect(text).toMatch(/^JOB +EVERY +STATE +LAST RUN +RESULT +TOOK +FAILED\n/);
    expect(text).toMatch(/\nDelete Users +1 h +due +never +- +- +0\n/);
  });

  test("tells when, how and for how long a job ran, and what runs now", async () => {
    await run(jobThat(() => Bun.sleep(30).then(() => 7)));
    const { passed, open } = gate();
    let hasBegun = false;
    const slow = jobThat(() => {
      hasBegun = true;
      return passed.then(() => 0);
    }, "Delete Users");
    const running = run(slow);
    while (!hasBegun) await Bun.sleep(1);
    const jobs = new Map((await list()).map((job: Job) => [job.name, job]));
    expect(jobs.get("Purge Tombstones")).toMatchObject({
      state: "waiting",
      last_run: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      last_result: "ok: 7 removed",
    });
    expect((jobs.get("Purge Tombstones") as { last_duration_ms: number }).last_duration_ms).toBeWithin(25, 5_000);
    expect(jobs.get("Delete Users")).toMatchObject({ state: "running" });
    open();
    await running;
  });

  test("P10: calls a job due exactly when a server would run it", async () => {
    const results = [null, "ok: 1 removed", "failed: 22P02", "stopped: 3 removed"];
    const states = { due: 0, waiting: 0, running: 0 };
    const now = server.services.now();
    const services = { ...server.services, now: () => now };
    for (let round = 0; round < 150; round++) {
      const job = JOBS[round % JOBS.length] as Job;
      const period = job.periodSecs(server.services.config) * 1000;
      const began = -period + (Math.random() < 0.5 ? -1 : 1) * Math.random() * 3 * MINUTE_MS;
      const lastRun = Math.random() < 0.2 ? 2 * period + MINUTE_MS : began;
      const claim = Math.random() < 0.6 ? null : inMs(server, (Math.random() - 0.5) * 10 * MINUTE_MS);
      await db`
        insert into job_registry (job_name, last_run_timestamp, claimed_until, last_result)
        values (${job.name}, ${inMs(server, lastRun)}::timestamp, ${claim}::timestamp, ${results[round % 4] ?? null})
        on conflict (job_name) do update set last_run_timestamp = excluded.last_run_timestamp,
          claimed_until = excluded.claimed_until, last_result = excluded.last_result`;
      const { state } = (await readJobStatuses(services)).find(({ name }) => name === job.name) ?? {};
      states[state ?? "due"]++;
      const hasRun = await runIfDue(services, { ...job, run: async () => 0 }, GO_ON);
      expect({ round, state, hasRun }).toEqual({ round, state, hasRun: state === "due" });
    }
    expect(Math.min(...Object.values(states))).toBeGreaterThan(0);
  });
});
