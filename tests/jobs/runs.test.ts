/** P10: which process runs a job, when, and what the registry says of it. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Job } from "../../src/jobs/jobs.ts";
import { runIfDue } from "../../src/jobs/run.ts";
import type { Services } from "../../src/services.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { followLog, GO_ON, MINUTE_MS } from "./jobRows.ts";

const NAME = "Count Runs";

let server: TestServer;
/** Another process on the same database. Its clock is moved along with the first one's. */
let other: TestServer;
/** When each run began its work, on the server's clock. */
let runs: number[];

beforeAll(async () => {
  server = await startTestServer();
  other = await startTestServer({}, server.database);
  other.clock = server.clock;
  Object.assign(other.services, { now: server.services.now });
});
afterAll(async () => {
  await other.stop();
  await server.stop();
});
beforeEach(async () => {
  await server.db`delete from job_registry`;
  runs = [];
});

/** @param work of a run; it removes 7 rows unless it says otherwise */
function countingJob(periodSecs: number, work: () => Promise<number> = async () => 7, name = NAME): Job {
  return {
    name,
    periodSecs: () => periodSecs,
    run({ now }) {
      runs.push(now());
      return work();
    },
  };
}

async function registryRow(name = NAME) {
  const [row] = await server.db`select * from job_registry where job_name = ${name}`;
  return row;
}

/** When the last run was claimed, milliseconds since the epoch. */
async function lastRunMs(): Promise<number> {
  return Number((await registryRow())?.last_run_timestamp) / 1000;
}

const look = (job: Job, { services }: { services: Services } = server) => runIfDue(services, job, GO_ON);

/** A gate that a run waits at. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, open: resolve };
}

describe("a job is due", () => {
  test("when it never ran, and again a period after the run began", async () => {
    const job = countingJob(120);
    expect(await look(job)).toBe(true);
    expect(await look(job)).toBe(false);
    server.clock.aheadMs += 2 * MINUTE_MS - 5_000;
    expect(await look(job)).toBe(false);
    server.clock.aheadMs += 5_000;
    expect(await look(job)).toBe(true);
    expect(runs).toHaveLength(2);
  });

  test("by the registry that the reference left behind", async () => {
    await server.db`
      insert into job_registry (job_name, last_run_timestamp)
      values (${NAME}, ${new Date(server.services.now() - 5 * MINUTE_MS).toISOString()}::timestamp)`;
    expect(await look(countingJob(6 * 60))).toBe(false);
    expect(await look(countingJob(5 * 60))).toBe(true);
  });

  test("at every look with a period of 0", async () => {
    const job = countingJob(0);
    for (let looks = 0; looks < 3; looks++) expect(await look(job)).toBe(true);
  });

  test("after the clock was set back by more than its period", async () => {
    const job = countingJob(120);
    await look(job);
    server.clock.aheadMs -= 1 * MINUTE_MS;
    expect(await look(job)).toBe(false);
    server.clock.aheadMs -= 2 * MINUTE_MS;
    expect(await look(job)).toBe(true);
    server.clock.aheadMs += 3 * MINUTE_MS;
  });
});

describe("P10: at most one process at a time runs a job", () => {
  test.each([
    ["that never ran", 0],
    ["whose period is over", 121],
  ])("of 8 looks at once at a job %s, one runs it", async (_what, secsAgo) => {
    if (secsAgo > 0) {
      await server.db`
        insert into job_registry (job_name, last_run_timestamp)
        values (${NAME}, ${new Date(server.services.now() - secsAgo * 1000).toISOString()}::timestamp)`;
    }
    const job = countingJob(120);
    const results = await Promise.all(Array.from({ length: 8 }, (_, index) => look(job, index % 2 ? other : server)));
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(runs).toHaveLength(1);
  });

  test("two processes that look each minute for an hour run each job exactly once per period", async () => {
    const jobs = [60, 120, 300, 900].map((periodSecs) => countingJob(periodSecs, undefined, `every ${periodSecs} s`));
    const counts = new Map<string, number>();
    for (let minute = 0; minute < 60; minute++) {
      const looks = [server, other].flatMap((process) => jobs.map((job) => ({ job, ran: look(job, process) })));
      for (const { job, ran } of looks) if (await ran) counts.set(job.name, (counts.get(job.name) ?? 0) + 1);
      // Timers are a little early or late.
      server.clock.aheadMs += MINUTE_MS + (minute % 2 === 0 ? 150 : -150);
    }
    expect(Object.fromEntries(counts)).toEqual({
      "every 60 s": 60,
      "every 120 s": 30,
      "every 300 s": 12,
      "every 900 s": 4,
    });
    expect(runs).toHaveLength(106);
  });

  test("nobody else runs it while it is under way, however long that takes: its claim is renewed", async () => {
    const { passed, open } = gate();
    const job = countingJob(0, () => passed.then(() => 1));
    const CLAIM_MS = 1000;
    const running = runIfDue(server.services, job, GO_ON, CLAIM_MS);
    while (runs.length === 0) await Bun.sleep(1);
    const until = performance.now() + 2.5 * CLAIM_MS;
    while (performance.now() < until) {
      expect(await look(job, other)).toBe(false);
      await Bun.sleep(CLAIM_MS / 10);
    }
    open();
    expect(await running).toBe(true);
    expect(runs).toHaveLength(1);
    expect(await look(job, other)).toBe(true);
  });

  test("the claim of a process that died expires after five minutes, then the job is due whatever its period", async () => {
    const neverEnds = countingJob(3600, () => new Promise(() => {}));
    look(neverEnds); // it would renew its claim in a minute: until then, to the database, it is as good as dead
    while (runs.length === 0) await Bun.sleep(1);

    const job = countingJob(3600);
    server.clock.aheadMs += 5 * MINUTE_MS - 5_000;
    expect(await look(job, other)).toBe(false);
    server.clock.aheadMs += 5_000;
    expect(await look(job, other)).toBe(true);
    expect(await registryRow()).toMatchObject({ last_result: "ok: 7 removed", claimed_until: null });
  });

  test("a process that lost its claim notes nothing over the run that followed, nor gives back that one's claim", async () => {
    const [first, second] = [gate(), gate()];
    const slow = look(countingJob(3600, () => first.passed.then(() => 1)));
    while (runs.length === 0) await Bun.sleep(1);
    server.clock.aheadMs += 6 * MINUTE_MS;
    const takenOverAt = server.services.now();
    const next = look(
      countingJob(3600, () => second.passed.then(() => 2)),
      other,
    );
    while (runs.length === 1) await Bun.sleep(1);
    first.open();
    await slow;
    expect(await registryRow()).toMatchObject({ last_result: null, claimed_until: expect.any(BigInt) });
    expect(await look(countingJob(0))).toBe(false);
    second.open();
    await next;
    expect(await registryRow()).toMatchObject({ last_result: "ok: 2 removed", claimed_until: null });
    expect(await lastRunMs()).toBeGreaterThanOrEqual(takenOverAt);
  });
});

describe("the registry and the log tell how a run went", () => {
  test("P10: when it began, how long it took, how much it removed", async () => {
    const readLog = followLog(server);
    const before = server.services.now();
    await look(countingJob(60, () => Bun.sleep(60).then(() => 1234)));
    const row = await registryRow();
    expect(row).toMatchObject({ last_result: "ok: 1234 removed", failed_runs: 0, claimed_until: null });
    expect(await lastRunMs()).toBeWithin(before, (runs[0] ?? 0) + 1);
    expect(Number(row?.last_duration_ms)).toBeWithin(55, 1000);
    expect(readLog()).toEqual([
      expect.objectContaining({ level: "info", event: "job done", job: NAME, removed: 1234 }),
    ]);
  });

  test("P10: a failed run is counted and comes again at the next look, and no other job suffers", async () => {
    let isBroken = true;
    const job = countingJob(3600, async () => {
      // A message of the database may quote what a row holds.
      if (isBroken) await server.db`select 'ann@example.com'::int`;
      return 3;
    });
    const readLog = followLog(server);
    const others = countingJob(3600, undefined, "another");
    const [failed, other] = await Promise.all([look(job), look(others)]);
    expect([failed, other]).toEqual([true, true]);
    expect(await look(job)).toBe(true);
    expect(await registryRow()).toMatchObject({ last_result: "failed: 22P02", failed_runs: 2, claimed_until: null });
    expect(await registryRow("another")).toMatchObject({ last_result: "ok: 7 removed", failed_runs: 0 });
    const errors = readLog().filter(({ level }) => level === "error");
    expect(errors).toEqual([
      expect.objectContaining({ event: "job failed", job: NAME, code: "22P02" }),
      expect.objectContaining({ event: "job failed", job: NAME, code: "22P02" }),
    ]);
    expect(JSON.stringify(errors)).not.toContain("ann@");

    isBroken = false;
    expect(await look(job)).toBe(true);
    expect(await registryRow()).toMatchObject({ last_result: "ok: 3 removed", failed_runs: 2 });
    expect(await look(job)).toBe(false);
  });

  test.each([
    [
      "synchronously",
      () => {
        throw new TypeError("a mistake");
      },
    ],
    [
      "later",
      async () => {
        await Bun.sleep(1);
        throw new TypeError("a mistake");
      },
    ],
    ["something that is no error", () => Promise.reject("text")],
  ])("a run that throws %s is noted as failed", async (_what, work: () => Promise<number>) => {
    expect(await look(countingJob(3600, work))).toBe(true);
    expect((await registryRow())?.last_result).toMatch(/^failed: (TypeError|unknown)$/);
    expect(await look(countingJob(3600))).toBe(true);
  });

  test("a database that is away is one error in the log, and the job runs when it is back", async () => {
    const away = server.database.connect();
    await away.end();
    const readLog = followLog(server);
    expect(await look(countingJob(60), { services: { ...server.services, db: away } })).toBe(false);
    expect(readLog()).toEqual([
      expect.objectContaining({ level: "error", event: "a job could not be looked at", code: "CONNECTION_ENDED" }),
    ]);
    expect(await look(countingJob(60))).toBe(true);
  });

  test("P11: a run that was stopped half-way is noted as such and due at once for another process", async () => {
    const stop = new AbortController();
    const job = countingJob(3600, async () => {
      stop.abort();
      return 1000;
    });
    expect(await runIfDue(server.services, job, stop.signal)).toBe(true);
    expect(await registryRow()).toMatchObject({ last_result: "stopped: 1000 removed", failed_runs: 0 });
    expect(await runIfDue(server.services, job, stop.signal)).toBe(false);
    expect(await look(countingJob(3600), other)).toBe(true);
    expect(runs).toHaveLength(2);
  });
});
