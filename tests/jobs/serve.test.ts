/** P10: the executable runs the jobs, unless it is told not to. */
import { describe, expect, test } from "bun:test";
import { JOBS } from "../../src/jobs/jobs.ts";
import { heartbeat, newFolder, serve, setUpBinary, start } from "../support/binarySetup.ts";
import type { ServerProcess } from "../support/executable.ts";

setUpBinary();

const NAMES = JOBS.map(({ name }) => name).sort();

const jobsRunBy = (server: ServerProcess) =>
  server
    .logLines()
    .filter(({ event }) => event === "job done")
    .map(({ job }) => job)
    .sort();

async function expectAllToRun(server: ServerProcess): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (jobsRunBy(server).length < NAMES.length && performance.now() < deadline) await Bun.sleep(5);
  expect(jobsRunBy(server)).toEqual(NAMES);
}

describe("P10: the server", () => {
  test("runs every job right after its first start, answers requests all the while, and does so once", async () => {
    const server = serve();
    const url = await server.listening();
    expect(await heartbeat(url)).toBe(200);
    await expectAllToRun(server);
    expect(await heartbeat(url)).toBe(200);
    expect(await server.stop()).toBe(0);
    expect(server.logLines().filter(({ level }) => level === "error")).toEqual([]);

    const again = serve();
    await again.listening();
    await Bun.sleep(500);
    expect(await again.stop()).toBe(0);
    expect(jobsRunBy(again)).toEqual([]);
  });

  test("runs none with --no-jobs; a later start without it runs what is due", async () => {
    const options = { cwd: await newFolder("no-jobs") };
    const without = start(["--port", "0", "--no-jobs"], options);
    expect(await heartbeat(await without.listening())).toBe(200);
    await Bun.sleep(500);
    expect(await without.stop()).toBe(0);
    expect(jobsRunBy(without)).toEqual([]);

    const server = serve(options);
    await server.listening();
    await expectAllToRun(server);
    expect(await server.stop()).toBe(0);
  });
});
