/** Issue 6.6, P10: two servers on one database run each of the jobs once, whoever comes first. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createApp } from "../../src/app.ts";
import { JOBS } from "../../src/jobs/jobs.ts";
import { type JobRunner, startJobs } from "../../src/jobs/runner.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { countRows, DAY_MS } from "./jobRows.ts";

let servers: TestServer[] = [];
beforeAll(async () => {
  const first = await startTestServer();
  servers = [first, await startTestServer({}, first.database)];
});
afterAll(async () => {
  for (const server of servers.toReversed()) await server.stop();
});

/** How often each job was done, by both servers together. */
function runsByJob(): Record<string, number> {
  const counts: Record<string, number> = {};
  const lines = servers.flatMap(({ logLines }) => logLines.join("").split("\n")).filter((line) => line !== "");
  for (const line of lines) {
    const { event, job } = JSON.parse(line);
    if (event === "job done") counts[job] = (counts[job] ?? 0) + 1;
  }
  return counts;
}

/** Starts the jobs of both servers at once, lets them run what is due, and stops them. */
async function runWhatIsDue(): Promise<void> {
  const sinceMs = servers[0]?.services.now() ?? 0;
  const runners: JobRunner[] = servers.map(({ services }) => startJobs(createApp(services), services));
  const ended = `claimed_until is null and last_run_timestamp >= '${new Date(sinceMs).toISOString()}'`;
  const deadline = performance.now() + 10_000;
  while ((await countRows(servers[0]?.db as TestServer["db"], "job_registry", ended)) < JOBS.length) {
    if (performance.now() > deadline) throw new Error("the jobs did not run");
    await Bun.sleep(5);
  }
  await Promise.all(runners.map((runner) => runner.stop(5_000)));
  for (const { services } of servers) services.log.flush();
}

test("P10: each job runs once at the first start, and once when its period is over", async () => {
  for (let day = 1; day <= 4; day++) {
    await runWhatIsDue();
    expect(runsByJob()).toEqual(Object.fromEntries(JOBS.map(({ name }) => [name, day])));
    for (const { clock } of servers) clock.aheadMs += DAY_MS + 1_000;
  }
});
