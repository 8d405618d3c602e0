/** The commands as an operator calls them: beside a running server with its own database, and after it has stopped. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { JOBS } from "../../src/jobs/jobs.ts";
import { freePort } from "../mail/mailSetup.ts";
import { verdictOn } from "../support/accounts.ts";
import { Client, type Device } from "../support/client.ts";
import { databasePid, makeFolder, removeFolder, ServerProcess } from "../support/executable.ts";
import { Outbox, signUp } from "../support/outbox.ts";

const PROGRAM = [process.execPath, join(import.meta.dir, "../../src/main.ts")];

let folder = "";
let env: Record<string, string>;
let server: ServerProcess;
let url = "";

beforeAll(async () => {
  folder = await makeFolder("entries-commands-");
  env = {
    ENTRIES_DATA_DIR: join(folder, "data"),
    ENTRIES_PORT: String(await freePort()),
    ENTRIES_AUTH_STRING_HASH_MEM_COST_KIB: "19456",
    ENTRIES_AUTH_STRING_HASH_ITERATIONS: "2",
  };
}, 20_000);
afterAll(async () => {
  await server?.end();
  await removeFolder(folder);
});

async function run(args: string[], more: Record<string, string> = {}) {
  const command = new ServerProcess([...PROGRAM, ...args], { cwd: folder, env: { ...env, ...more } });
  const status = await command.exited;
  return { status, stdout: command.stdout, stderr: command.stderr };
}

async function newAccount(): Promise<{ email: string; device: Device }> {
  const client = new Client((request) => fetch(request), "protobuf", url);
  const { user, device } = await signUp(client, new Outbox(env.ENTRIES_DATA_DIR ?? ""));
  return { email: user.email, device };
}

/** Waits until the server has heard that the device's session has ended. */
async function expectRefusal({ client, accessToken }: Device): Promise<void> {
  const deadline = performance.now() + 5_000;
  while ((await verdictOn(client, accessToken)) !== "TOKEN_EXPIRED") {
    if (performance.now() > deadline) throw new Error("the token is still accepted");
    await Bun.sleep(5);
  }
}

const isDatabaseRunning = () => {
  try {
    return databasePid(env.ENTRIES_DATA_DIR ?? "") > 0;
  } catch {
    return false;
  }
};

describe("issue 6.7: before the first start", () => {
  test("commands say that there is no database and make none; doctor and config find nothing wrong", async () => {
    for (const args of [
      ["jobs", "list"],
      ["user", "list"],
      ["user", "show", "a@b.cc"],
    ]) {
      const { status, stderr } = await run(args);
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: `entries-server: There is no database in ${env.ENTRIES_DATA_DIR} yet. The first start makes it.\n`,
      });
    }
    const { status, stdout } = await run(["doctor"]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining("0 problems, 1 warning.\n") });
    expect(isDatabaseRunning()).toBe(false);
  });

  test("healthcheck fails without a server", async () => {
    const { status, stdout, stderr } = await run(["healthcheck"]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain("did not answer: ECONNREFUSED");
  });

  test("what makes no sense is refused with 2, before anything is looked at", async () => {
    const unknownJob = await run(["jobs", "run", "everything"]);
    expect(unknownJob.status).toBe(2);
    for (const { name } of JOBS) expect(unknownJob.stderr).toContain(`"${name}"`);
    expect((await run(["user", "show"])).status).toBe(2);
    expect((await run(["user", "list"], { ENTRIES_PORT: "x" })).status).toBe(2);
    expect((await run(["healthcheck", "--port", "0"])).status).toBe(2);
  });
});

describe("issue 6.7: beside a running server, on its embedded database", () => {
  beforeAll(async () => {
    server = new ServerProcess(PROGRAM, { cwd: folder, env });
    url = await server.listening();
  }, 30_000);

  test("healthcheck succeeds, by the settings and by --url", async () => {
    expect(await run(["healthcheck"])).toEqual({ status: 0, stdout: "ready\n", stderr: "" });
    const elsewhere = { ENTRIES_PORT: "x", http_proxy: "http://127.0.0.1:1" };
    expect(await run(["healthcheck", "--url", url], elsewhere)).toEqual({ status: 0, stdout: "ready\n", stderr: "" });
  });

  test("jobs list and jobs run", async () => {
    const listed = await run(["jobs", "list", "--json"]);
    expect(JSON.parse(listed.stdout)).toHaveLength(JOBS.length);
    const { status, stdout } = await run(["jobs", "run", "purge tombstones"]);
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^Purge Tombstones: 0 removed in /),
    });
  });

  test("migrate status, and doctor, who names the server", async () => {
    expect((await run(["migrate", "status"])).status).toBe(0);
    const { status, stdout } = await run(["doctor", "--json"]);
    const texts = JSON.parse(stdout).map(
      ({ check, level, text }: Record<string, string>) => `${check} ${level} ${text}`,
    );
    expect(texts.join("\n")).toContain(`is run by the server with process id ${server.pid}.`);
    expect(texts.join("\n")).toContain(`port ok a server runs on ${env.ENTRIES_PORT} and is ready.`);
    expect(status).toBe(0);
  });

  test("A3: user revoke-sessions signs out in the running server at once", async () => {
    const { email, device } = await newAccount();
    expect(await verdictOn(device.client, device.accessToken)).toBe("accepted");
    expect((await run(["user", "revoke-sessions", email.toUpperCase()])).status).toBe(0);
    await expectRefusal(device);
  });

  test("user show, list and delete; delete asks first", async () => {
    const { email, device } = await newAccount();
    const shown = await run(["user", "show", email, "--json"]);
    expect(JSON.parse(shown.stdout)).toMatchObject({ email, is_verified: true, sessions: 1 });
    expect((await run(["user", "list"])).stdout).toContain(email);

    const refused = await run(["user", "delete", email]); // stdin is empty
    expect({ status: refused.status, stdout: refused.stdout }).toEqual({ status: 1, stdout: "" });
    expect(refused.stderr).toContain('Type "yes" to do so: ');
    expect(refused.stderr).toContain("Nothing was deleted.");
    expect(await verdictOn(device.client, device.accessToken)).toBe("accepted");

    const deleted = await run(["user", "delete", email, "--yes"]);
    expect({ status: deleted.status, stderr: deleted.stderr }).toEqual({ status: 0, stderr: "" });
    expect(deleted.stdout).toContain("What stays:");
    await expectRefusal(device);
    expect((await run(["user", "show", email])).status).toBe(1);
  });

  test("a yes on stdin is a confirmation", async () => {
    const { email } = await newAccount();
    const child = Bun.spawn([...PROGRAM, "user", "delete", email], {
      cwd: folder,
      env: { PATH: process.env.PATH, ...env },
      stdin: Buffer.from("yes\n"),
      stdout: "pipe",
      stderr: "ignore",
    });
    expect(await new Response(child.stdout).text()).toStartWith("Deleted account ");
    expect(await child.exited).toBe(0);
  });

  test("the server goes on, and commands work after its stop, on a database that they start and stop", async () => {
    const { email } = await newAccount();
    expect(await server.stop()).toBe(0);
    const { status, stdout } = await run(["user", "list", "--json"]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout).users.map((user: { email: string }) => user.email)).toContain(email);
    expect((await run(["doctor"])).stdout).toContain("is not running; it was started for this check and can be.");
    expect(isDatabaseRunning()).toBe(false);
  });
});
