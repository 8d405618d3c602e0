/** Issue 6.7: `backup` and `restore` as an operator calls them, with a server's generated secrets. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Client } from "../support/client.ts";
import { makeFolder, removeFolder, ServerProcess } from "../support/executable.ts";
import { Outbox, signIn, signUp } from "../support/outbox.ts";

const PROGRAM = [process.execPath, join(import.meta.dir, "../../src/main.ts")];
const SECRETS = ["token-signing-key", "auth-string-hash-key"];

describe("issue 6.7: backup and restore on the command line", () => {
  let folder = "";
  let server: ServerProcess;
  let user: Awaited<ReturnType<typeof signUp>>["user"];
  const pathOf = (name: string) => join(folder, name);
  const environment = (dataDir: string) => ({
    ENTRIES_DATA_DIR: pathOf(dataDir),
    ENTRIES_PORT: "0",
    ENTRIES_AUTH_STRING_HASH_MEM_COST_KIB: "19456",
    ENTRIES_AUTH_STRING_HASH_ITERATIONS: "2",
  });

  const start = (dataDir: string) => new ServerProcess(PROGRAM, { cwd: folder, env: environment(dataDir) });

  async function run(dataDir: string, args: string[], more: Record<string, string> = {}) {
    const command = new ServerProcess([...PROGRAM, ...args], {
      cwd: folder,
      env: { ...environment(dataDir), ...more },
    });
    const status = await command.exited;
    return { status, stdout: command.stdout, stderr: command.stderr };
  }

  const clientOf = async (process: ServerProcess) =>
    new Client((request) => fetch(request), "protobuf", await process.listening());

  beforeAll(async () => {
    folder = await makeFolder("entries-backup-");
    server = start("first");
    ({ user } = await signUp(await clientOf(server), new Outbox(pathOf("first"))));
  }, 30_000);
  afterAll(async () => {
    await server?.end();
    await removeFolder(folder);
  });

  test("beside a running server; its file is the owner's, and a running server is not restored over", async () => {
    const { status, stdout, stderr } = await run("first", ["backup", "running.backup"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toStartWith("Wrote running.backup, ");
    expect(stdout).toContain("whoever reads it can forge tokens");
    expect(statSync(pathOf("running.backup")).mode & 0o777).toBe(0o600);

    const over = await run("first", ["restore", "running.backup"]);
    expect({ status: over.status, stdout: over.stdout }).toEqual({ status: 1, stdout: "" });
    expect(over.stderr).toContain(`Another entries-server (process ${server.pid}) already uses the data directory`);
  });

  test("without a server; --verify; restored with its secrets, users sign in again", async () => {
    expect(await server.stop()).toBe(0);
    expect((await run("first", ["backup", "stopped.backup"])).status).toBe(0);
    const verified = await run("nowhere", ["restore", "stopped.backup", "--verify"]);
    expect({ status: verified.status, stderr: verified.stderr }).toEqual({ status: 0, stderr: "" });
    expect(verified.stdout).toMatch(/^users +1$/m);
    expect(verified.stdout).toContain("Every row came back as it was");
    expect(existsSync(pathOf("nowhere"))).toBe(false);

    const { status, stdout, stderr } = await run("second", ["restore", "stopped.backup"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^users +1$/m);
    expect(stdout).toContain("Ended 1 session: users sign in again.");
    for (const name of SECRETS) {
      const path = pathOf(`second/secrets/${name}`);
      expect(readFileSync(path, "utf8")).toBe(readFileSync(pathOf(`first/secrets/${name}`), "utf8"));
      expect(statSync(path).mode & 0o777).toBe(0o600);
    }
    expect((await run("second", ["restore", "stopped.backup"])).stderr).toContain("is not empty (database, secrets)");

    const again = start("second");
    try {
      const device = await signIn(await clientOf(again), new Outbox(pathOf("second")), user);
      expect(device.accessToken).not.toBe("");
    } finally {
      await again.end();
    }
  });

  test("--without-secrets leaves them out and says so, and a restored server asks for them", async () => {
    const written = await run("first", ["backup", "bare.backup", "--without-secrets"]);
    expect(written.stdout).toContain("It does not hold token-signing-key (ENTRIES_TOKEN_SIGNING_KEY_B64)");
    const restored = await run("bare", ["restore", "bare.backup"]);
    expect(restored.stdout).toContain("The backup does not hold auth-string-hash-key: before the first start,");
    expect(existsSync(pathOf("bare/secrets"))).toBe(false);
    const refused = start("bare");
    expect(await refused.exited).toBe(1);
  });

  test("a secret of the environment that is not the backup's is told", async () => {
    const other = { ENTRIES_AUTH_STRING_HASH_KEY_B64: Buffer.alloc(32, 9).toString("base64") };
    const restored = await run("other", ["restore", "stopped.backup"], other);
    expect(restored.stdout).toContain("ENTRIES_AUTH_STRING_HASH_KEY_B64 is set, and not to what the backup holds.");
  });

  test("without a database there is nothing to back up; with one elsewhere, pg_dump is the way", async () => {
    expect(await run("none", ["backup", "none.backup"])).toEqual({
      status: 1,
      stdout: "",
      stderr: `entries-server: There is no database in ${pathOf("none")} yet. The first start makes it.\n`,
    });
    const elsewhere = {
      ENTRIES_DATABASE_URL: "postgres://user@localhost:1/db",
      ENTRIES_TOKEN_SIGNING_KEY_B64: Buffer.alloc(64, 7).toString("base64"),
      ENTRIES_AUTH_STRING_HASH_KEY_B64: Buffer.alloc(32, 7).toString("base64"),
    };
    for (const [command, program] of [
      ["backup", "pg_dump"],
      ["restore", "pg_restore"],
    ] as const) {
      const { status, stderr } = await run("none", [command, "stopped.backup"], elsewhere);
      expect(status).toBe(2);
      expect(stderr).toContain(program);
    }
    expect(existsSync(pathOf("none"))).toBe(false);
  });
});
