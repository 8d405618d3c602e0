/** `--workers N` (P13): several processes on one port, which start, crash and stop as one server. */
import { describe, expect, test } from "bun:test";
import { JOBS } from "../../src/jobs/jobs.ts";
import { EventReader } from "../events/eventReader.ts";
import {
  clientOf,
  dataDirOf,
  heartbeat,
  homeFolder,
  newFolder,
  run,
  serve,
  setUpBinary,
  start,
} from "../support/binarySetup.ts";
import { databasePid, hasEnded, type ServerProcess } from "../support/executable.ts";
import { Outbox, signUp } from "../support/outbox.ts";
import { heldRequest, until, workersBelow } from "./listening.ts";

setUpBinary();

const LIMIT_MS = 10_000;

function startWorkers(count: number, args: string[] = [], options: Parameters<typeof start>[1] = {}): ServerProcess {
  return start(["--port", "0", "--workers", String(count), ...args], options);
}

/** Heartbeats on many new connections, so that every worker gets some. */
async function heartbeats(url: string): Promise<number[]> {
  const ask = async () => (await fetch(`${url}/api/heartbeat`, { headers: { connection: "close" } })).status;
  return Promise.all(Array.from({ length: 20 }, ask));
}

const eventsOf = (server: ServerProcess, name: string) => server.logLines().filter(({ event }) => event === name);

describe("P13: --workers 3", () => {
  test("answers in three processes below one that has the database, and tells of itself once", async () => {
    const server = startWorkers(3);
    const url = await server.listening();
    expect(workersBelow(server.pid)).toHaveLength(3);
    expect(new Set(await heartbeats(url))).toEqual(new Set([200]));
    const pids = [...workersBelow(server.pid), databasePid(dataDirOf(homeFolder()))];
    expect(await server.stop()).toBe(0);
    for (const pid of pids) expect(await hasEnded(pid, 0)).toBe(true);
    for (const name of ["starting", "listening", "stopping", "stopped"]) expect(eventsOf(server, name)).toHaveLength(1);
    expect(eventsOf(server, "listening")[0]).toMatchObject({ workers: 3 });
    expect(server.logLines().filter(({ level }) => level === "error")).toEqual([]);
  });

  test("P10: each job runs once, on a new database that one worker makes", async () => {
    const server = startWorkers(3, [], { cwd: await newFolder("jobs") });
    await server.listening();
    await until(() => eventsOf(server, "job done").length >= JOBS.length);
    await Bun.sleep(500);
    const names = eventsOf(server, "job done").map(({ job }) => job);
    expect(names.sort()).toEqual(JOBS.map(({ name }) => name).sort());
    expect(eventsOf(server, "migration applied").length).toBe(
      new Set(eventsOf(server, "migration applied").map(({ version }) => version)).size,
    );
    expect(await server.stop()).toBe(0);
  });

  test("C7: who is connected to one worker hears of changes made through another", async () => {
    const server = startWorkers(3);
    const url = await server.listening();
    const { device } = await signUp(clientOf(url), new Outbox(dataDirOf(homeFolder())));
    const box = await device.createContainer();
    const open = async () => {
      const headers = { ...device.headers(box), connection: "close" };
      return new EventReader(await fetch(`${url}/api/container/events`, { headers }));
    };
    const readers = await Promise.all(Array.from({ length: 8 }, open));
    for (const reader of readers) await reader.next();
    await device.createEntry(box);
    for (const reader of readers) expect(await reader.next()).toMatchObject({ data: { container_id: box.id } });
    // P11: open streams do not hold up the stop.
    expect(await server.stop()).toBe(0);
    for (const reader of readers) expect(await reader.during(LIMIT_MS)).toMatchObject({ hasEnded: true });
  });

  test("a worker that dies is replaced, while the others answer", async () => {
    const server = startWorkers(3);
    const url = await server.listening();
    const [first = 0, ...others] = workersBelow(server.pid);
    process.kill(first, "SIGKILL");
    expect(await server.logged("a worker ended and is restarted")).toMatchObject({ status: 137 });
    expect(await heartbeat(url)).toBe(200);
    await until(() => workersBelow(server.pid).length === 3);
    expect(workersBelow(server.pid)).toEqual(expect.arrayContaining(others));
    expect(workersBelow(server.pid)).not.toContain(first);
    expect(await server.stop()).toBe(0);
  });

  test("workers that die again and again end the server with status 1", async () => {
    const server = startWorkers(2);
    await server.listening();
    const victim = workersBelow(server.pid)[0] ?? 0;
    const others = workersBelow(server.pid).filter((pid) => pid !== victim);
    let next: number | undefined = victim;
    let isOver = false;
    server.exited.then(() => {
      isOver = true;
    });
    while (!isOver) {
      if (next !== undefined && (await hasEnded(next, 0)) === false) process.kill(next, "SIGKILL");
      await Bun.sleep(20);
      next = workersBelow(server.pid).find((pid) => !others.includes(pid));
    }
    expect(await server.exited).toBe(1);
    expect(await server.logged("stopping")).toMatchObject({
      level: "error",
      reason: expect.stringMatching(/^Worker \d ended 6 times/),
    });
    for (const pid of others) expect(await hasEnded(pid, 0)).toBe(true);
  });
});

describe("P11: a stop of workers", () => {
  test("by Ctrl-C, which a terminal sends to all of a group, drains", async () => {
    const server = startWorkers(2, [], { detached: true });
    await server.listening();
    server.interruptGroup();
    expect(await server.exited).toBe(0);
    expect(eventsOf(server, "stopped at once")).toEqual([]);
  });

  test("answers what is under way, and nothing new", async () => {
    const server = startWorkers(2);
    const url = await server.listening();
    const { status, finish } = await heldRequest(url);
    server.signal("SIGTERM");
    await server.logged("stopping");
    await until(() =>
      heartbeat(url).then(
        () => false,
        () => true,
      ),
    );
    finish();
    expect(await status).toBe(400);
    expect(await server.exited).toBe(0);
  });

  test("is cut short by a second signal, which leaves nobody behind", async () => {
    const server = startWorkers(2);
    const { status } = await heldRequest(await server.listening());
    const pids = [...workersBelow(server.pid), databasePid(dataDirOf(homeFolder()))];
    server.signal("SIGTERM");
    await server.logged("stopping");
    await Bun.sleep(700); // what comes sooner counts as an echo of the first
    server.signal("SIGTERM");
    expect(await server.exited).toBe(130);
    await expect(status).rejects.toThrow();
    for (const pid of pids) expect(await hasEnded(pid, LIMIT_MS)).toBe(true);
  });

  test("is not disturbed by a service manager that signals every process", async () => {
    const server = startWorkers(2);
    await server.listening();
    for (const pid of [server.pid, ...workersBelow(server.pid)]) process.kill(pid, "SIGTERM");
    expect(await server.exited).toBe(0);
    expect(server.logLines().filter(({ level }) => level === "error")).toEqual([]);
  });

  test("during the start leaves nobody behind", async () => {
    const server = startWorkers(3);
    await until(() => workersBelow(server.pid).length > 0);
    const pids = workersBelow(server.pid);
    server.signal("SIGTERM");
    expect(await server.exited).toBe(0);
    for (const pid of pids) expect(await hasEnded(pid, LIMIT_MS)).toBe(true);
  });

  test("when the parent is killed by force, workers and database end too", async () => {
    const server = startWorkers(2);
    await server.listening();
    const pids = [...workersBelow(server.pid), databasePid(dataDirOf(homeFolder()))];
    server.signal("SIGKILL");
    await server.exited;
    for (const pid of pids) expect(await hasEnded(pid, 2 * LIMIT_MS)).toBe(true);
  });

  test("follows when the embedded database dies again and again", async () => {
    const server = startWorkers(2);
    await server.listening();
    const workers = workersBelow(server.pid);
    for (let deaths = 1; deaths <= 6; deaths++) {
      const runs = () => server.logLines().filter(({ event }) => event === "the database runs again").length;
      while (runs() < deaths - 1) await Bun.sleep(10);
      process.kill(databasePid(dataDirOf(homeFolder())), "SIGKILL");
    }
    expect(await server.exited).toBe(1);
    for (const pid of workers) expect(await hasEnded(pid, 0)).toBe(true);
  });
});

describe("P13: the start of workers", () => {
  test("fails as a whole when the port is taken, also by workers", async () => {
    const taken = startWorkers(2);
    const { port } = new URL(await taken.listening());
    const second = start(["--port", port, "--workers", "2"], { cwd: await newFolder("taken") });
    expect(await second.exited).toBe(1);
    expect(await second.logged("the server cannot start")).toMatchObject({
      reason: expect.stringContaining("another program listens there"),
    });
  });

  test("fails as a whole, with the reason, when a worker cannot start", async () => {
    const env = { ENTRIES_GET_BODY_PORT: new URL(await serve().listening()).port };
    const server = startWorkers(2, [], { env, cwd: await newFolder("cannot") });
    expect(await server.exited).toBe(1);
    const reasons = eventsOf(server, "the server cannot start").map(({ reason }) => reason);
    expect(reasons).toEqual([
      expect.stringContaining("Cannot listen on ENTRIES_GET_BODY_PORT"),
      "Worker 1 ended before it listened (status 1).",
    ]);
  });

  test("the port for a GET with a body is served by one of them", async () => {
    const server = startWorkers(2, [], { env: { ENTRIES_GET_BODY_PORT: "0" } });
    const { get_body_port } = await server.logged("listening");
    const answer = await fetch(`http://127.0.0.1:${get_body_port}/api/container`);
    expect(answer.status).toBe(401);
    expect(await server.stop()).toBe(0);
  });

  test("--workers 1 is a server as without it", async () => {
    const server = startWorkers(1);
    await server.listening();
    expect(workersBelow(server.pid)).toEqual([]);
    expect((await server.logged("listening")).workers).toBeUndefined();
    expect(await server.stop()).toBe(0);
  });

  test.each(["0", "65", "two", ""])("--workers %p is refused", async (count) => {
    const { status, stderr } = await run([`--workers=${count}`]);
    expect(status).toBe(2);
    expect(stderr).toContain("--workers");
    expect(stderr).toContain("a whole number from 1 to 64");
  });
});
