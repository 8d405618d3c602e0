/** The executable, whose own PostgreSQL is killed or stopped by the system or by somebody (P1, W11). */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { clientOf, dataDirOf, heartbeat, homeFolder, serve, setUpBinary } from "../support/binarySetup.ts";
import { databasePid } from "../support/executable.ts";
import { Outbox, signUp } from "../support/outbox.ts";
import { expectOverloaded, untilServed } from "../support/overload.ts";

setUpBinary();

const ownDatabasePid = () => databasePid(dataDirOf(homeFolder()));

/** PostgreSQL's first process and all that it has started. */
function databaseProcesses(): number[] {
  const first = ownDatabasePid();
  const parentOf = (pid: string) => {
    try {
      return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
    } catch {
      return undefined; // it has ended
    }
  };
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return [first, ...all.filter((pid) => parentOf(pid) === first).map(Number)];
}

describe("the embedded database", () => {
  test("W11: when it is killed, requests are refused until it runs again; nothing is lost, and nobody has to do anything", async () => {
    const server = serve();
    const url = await server.listening();
    const { device } = await signUp(clientOf(url), new Outbox(dataDirOf(homeFolder())));
    const box = await device.createContainer();
    const entry_id = await device.createEntry(box);

    process.kill(ownDatabasePid(), "SIGKILL");
    await server.logged("the database ended and is started again");
    const refused = await device.client.nonce("somebody@example.com");
    if (refused.status !== 200) expectOverloaded(refused);
    expect(await heartbeat(url)).toBe(200);

    expect((await untilServed(() => device.deleteEntry(box, entry_id))).status).toBe(200);
    expect((await device.read(box)).entries.map(({ id }) => id)).toEqual([entry_id]);
    expect(await server.stop()).toBe(0);
  }, 60_000);

  test("W11: while it is stopped, requests are refused before their clients are cut off; when it goes on, so do they", async () => {
    const server = serve();
    const url = await server.listening();
    const api = clientOf(url);
    expect((await api.nonce("somebody@example.com")).status).toBe(200);

    const stopped = databaseProcesses();
    for (const pid of stopped) process.kill(pid, "SIGSTOP");
    const answers = Promise.all(Array.from({ length: 40 }, () => api.nonce("somebody@example.com")));
    expect(await heartbeat(url)).toBe(200);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    for (const answer of await answers) expectOverloaded(answer);

    for (const pid of stopped) process.kill(pid, "SIGCONT");
    expect((await untilServed(() => api.nonce("somebody@example.com"))).status).toBe(200);
    expect(await server.stop()).toBe(0);
  }, 90_000);
});
