/** How the executable ends: drained by a signal, at once by a second one, with its database in any case (P11). */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { smtpError, startRelay } from "./mail/mailRelay.ts";
import { atEnd, clientOf, dataDirOf, heartbeat, homeFolder, serve, setUpBinary } from "./support/binarySetup.ts";
import { newUser } from "./support/client.ts";
import { databasePid, hasEnded } from "./support/executable.ts";
import { Outbox, signUp } from "./support/outbox.ts";

setUpBinary();

describe("P11: a stop", () => {
  /** A request that the database keeps waiting until `release` is called, on the entry of a new account. */
  async function heldRequest(url: string) {
    const { device } = await signUp(clientOf(url), new Outbox(dataDirOf(homeFolder())));
    const box = await device.createContainer();
    const entry_id = await device.createEntry(box);
    const pidFile = readFileSync(join(dataDirOf(homeFolder()), "database", "postmaster.pid"), "utf8");
    const path = join(pidFile.split("\n")[4] ?? "", ".s.PGSQL.5432");
    const sql = postgres({ path, username: "entries", database: "entries", max: 2, onnotice: () => {} });
    atEnd(() => sql.end({ timeout: 0 }));
    const holder = await sql.reserve();
    await holder`begin`;
    await holder`select from container_heads where container_id = ${box.id} for update`;
    const update = { entry_id, encrypted_blob: randomBytes(9), version_nonce: 2n, expected_previous_version_nonce: 1n };
    const answer = device.replaceEntry(box, update).then(
      ({ status }) => status,
      () => "no answer",
    );
    const isWaiting = () => sql`select from pg_stat_activity where wait_event_type = 'Lock' and datname = 'entries'`;
    while ((await isWaiting()).length === 0) await Bun.sleep(5);
    return { answer, release: () => holder`rollback` };
  }

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`by ${signal} answers what is under way, takes nothing new, and ends with status 0`, async () => {
      const server = serve();
      const url = await server.listening();
      const database = databasePid(dataDirOf(homeFolder()));
      const { answer, release } = await heldRequest(url);
      server.signal(signal);
      server.signal(signal); // as Ctrl-C under "bun start" arrives: from the terminal and once more from bun
      await server.logged("stopping");
      await Bun.sleep(300); // for 100 ms, busy clients are still answered, and told that the connection will close
      await expect(heartbeat(url)).rejects.toThrow();
      await release();
      expect(await answer).toBe(200);
      expect(await server.exited).toBe(0);
      expect(await hasEnded(database, 0)).toBe(true);
    });
  }

  test("is cut short by a second signal", async () => {
    const server = serve();
    const { answer } = await heldRequest(await server.listening());
    const database = databasePid(dataDirOf(homeFolder()));
    server.signal("SIGTERM");
    await server.logged("stopping");
    await Bun.sleep(700); // what comes sooner counts as an echo of the first
    server.signal("SIGTERM");
    expect(await server.exited).toBe(130);
    expect(server.stdout).toContain("a second signal");
    expect(await answer).toBe("no answer");
    expect(await hasEnded(database, 5_000)).toBe(true);
  });

  test("sends the mails that wait for a slow relay", async () => {
    const relay = await startRelay({ answer: (before) => (before < 2 ? smtpError(451, "Try later") : null) });
    atEnd(() => relay.close());
    const env = {
      ENTRIES_SMTP_ADDRESS: "127.0.0.1",
      ENTRIES_SMTP_PORT: String(relay.port),
      ENTRIES_SMTP_SECURITY: "plain",
      ENTRIES_EMAIL_FROM_ADDR: "entries@example.org",
    };
    const server = serve({ env });
    const user = newUser();
    expect((await clientOf(await server.listening()).createUser(user)).status).toBe(201);
    while (relay.received.length < 2) await Bun.sleep(5);
    // The next attempt would be in five seconds.
    expect(await server.stop()).toBe(0);
    expect(relay.received.map(({ to }) => to)).toEqual([[user.email], [user.email], [user.email]]);
    expect(server.stdout).toContain('"event":"mail sent"');
  });

  test("follows when the embedded database dies again and again: the server says why and ends with status 1", async () => {
    const server = serve();
    await server.listening();
    for (let deaths = 1; deaths <= 6; deaths++) {
      const runs = () => server.logLines().filter(({ event }) => event === "the database runs again").length;
      while (runs() < deaths - 1) await Bun.sleep(10);
      process.kill(databasePid(dataDirOf(homeFolder())), "SIGKILL");
    }
    expect(await server.exited).toBe(1);
    expect(await server.logged("stopping")).toMatchObject({
      level: "error",
      reason: expect.stringContaining("The embedded PostgreSQL ended unexpectedly (status 137)"),
    });
  });
});
