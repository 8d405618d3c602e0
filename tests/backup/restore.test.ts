/** Issue 6.7: what comes back from a backup, and what clients see of it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { SEQUENCE_GAP, verifyBackup } from "../../src/backup/restore.ts";
import { MIGRATIONS, migrate } from "../../src/db/migrate.ts";
import { silentLog } from "../../src/log.ts";
import { confirm, listKeys } from "../jobs/dueAccounts.ts";
import { runJob } from "../jobs/jobRows.ts";
import { userIdOf, verdictOn } from "../support/accounts.ts";
import { type Box, Device } from "../support/client.ts";
import { anyDevice } from "../support/containerCalls.ts";
import { createTestDatabase } from "../support/database.ts";
import { enrolTotp, FACTOR_ENVIRONMENT } from "../support/factors.ts";
import { Writer } from "../support/histories.ts";
import { type Guest, invite, inviteAndUnwrap, listPending, mustAccept, signUpGuest } from "../support/invitations.ts";
import { seededRandom } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { SyncClient } from "../support/syncClient.ts";
import { ageTombstones, expectSameAsFetched, softDeleteContainer, storeEntries } from "../sync/copies.ts";
import { allRows, backUp, isElsewhere, newFolder, RESTORE_OPTIONS, restoreAndStart } from "./restored.ts";

/** Tables that hold rows only for moments or in cases that the story below does not make. */
const MAY_BE_EMPTY = [
  "blacklisted_tokens",
  "failed_user_deletions",
  "passkey_challenges",
  "passkeys",
  "revoked_sessions",
  "second_factor_attempts",
];

describe.skipIf(isElsewhere)("issue 6.7: restore", () => {
  let folder = "";
  let file = "";
  let server: TestServer;
  let owner: Guest;
  let guest: Guest;
  let box: Box;
  /** Clients at different places of the same container, with what they had when the backup was older than they. */
  let readers: SyncClient[];
  let rowsThen: Map<string, string[]>;
  const pathOf = (name: string) => join(folder, name);

  beforeAll(async () => {
    folder = await newFolder();
    file = pathOf("story.backup");
    server = await startTestServer(FACTOR_ENVIRONMENT);
    [owner, guest] = [await signUpGuest(server), await signUpGuest(server)];
    box = await tellStory();
    readers = await startReaders();
    await backUp(server.database, file);
    rowsThen = await allRows(server.db);
    await goOn();
  });
  afterAll(async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Accounts, invitations, tombstones that were purged and others, a deletion, a second factor. */
  async function tellStory(): Promise<Box> {
    const shared = await owner.createContainer();
    const writer = new Writer(owner, shared, seededRandom(61));
    for (let step = 0; step < 60; step++) await writer.step();
    await ageTombstones(server.db, shared, 2);
    await runJob(server, "Purge Tombstones");
    for (let step = 0; step < 40; step++) await writer.step();

    const { received } = await inviteAndUnwrap(server, owner, shared, guest);
    await mustAccept(guest, received);
    await invite(server, owner, shared, guest);
    await softDeleteContainer(server.db, await owner.createContainer());

    const leaving = await signUpGuest(server);
    const account = Object.assign(leaving, { id: await userIdOf(server, leaving.user) });
    await listKeys(server, account, [await leaving.createContainer()]);
    await confirm(server, account, -3_600_000);
    await enrolTotp(server, owner);
    await server.db`insert into job_registry (job_name, last_run_timestamp) values ('A Job', timezone('utc', now()))`;
    return shared;
  }

  async function startReaders(): Promise<SyncClient[]> {
    const upToDate = new SyncClient(anyDevice(server), [box]);
    await upToDate.catchUp();
    const halfWay = new SyncClient(anyDevice(server), [box], 1_000);
    expect(await halfWay.poll()).toBe(true);
    expect(halfWay.copyOf(box).cursor).toBeGreaterThan(2n ** 63n); // below the purge: a cursor with a mark
    return [upToDate, halfWay, new SyncClient(anyDevice(server), [box])];
  }

  /** What is lost by restoring: changes, of which clients have seen some. */
  async function goOn(): Promise<void> {
    const [, , ahead] = readers;
    const writer = new Writer(owner, box, seededRandom(62));
    for (let step = 0; step < 40; step++) await writer.step();
    await ahead?.catchUp();
  }

  test("every row of every table comes back, but for the containers' sequence numbers", async () => {
    const emptyThen = [...rowsThen].filter(([, rows]) => rows.length === 0).map(([name]) => name);
    expect(emptyThen.filter((name) => !MAY_BE_EMPTY.includes(name))).toEqual([]);

    const restored = await restoreAndStart(file, pathOf("kept"));
    try {
      const rowsNow = await allRows(restored.db);
      for (const [name, rows] of rowsThen) {
        const expected = name === "container_heads" ? rows.map(movedOn) : rows;
        expect({ name, rows: rowsNow.get(name) }).toEqual({ name, rows: expected });
      }
      expect([...rowsNow.keys()]).toEqual([...rowsThen.keys()]);
    } finally {
      await restored.stop();
    }
  });

  /** A row of container_heads as a restore makes it: (container_id, last_sequence, purged_sequence, …). */
  function movedOn(row: string): string {
    const [id, last, , ...rest] = row.split(",");
    const sequence = BigInt(last ?? "") + SEQUENCE_GAP;
    return [id, sequence, sequence, ...rest].join(",");
  }

  test("sign-in works, sessions are over, and every client starts its copies over (C6)", async () => {
    const revokedUntil = BigInt(Date.now() + 3_600_000) * 1000n;
    const restored = await restoreAndStart(file, pathOf("ended"), revokedUntil);
    const after = await startTestServer(FACTOR_ENVIRONMENT, restored);
    try {
      expect(await verdictOn(after.client(), guest.accessToken)).toBe("TOKEN_EXPIRED");
      expect((await after.client().refresh(guest.refreshToken)).error?.err_type).toBe("TOKEN_EXPIRED");
      const signinToken = (await after.client().signIn(guest.user.email, guest.user.auth_string)).value?.value ?? "";
      const session = await after.client().verifyOtp(signinToken, after.otpFor(guest.user.email));
      expect(session.value?.tokens?.access_token).toBeString();

      const device = anyDevice(after);
      for (const reader of readers) {
        const again = Object.assign(new SyncClient(device, [box], 5_000), { copies: reader.copies });
        await again.catchUp();
        expect(again.resets).toBe(1);
        await expectSameAsFetched(again.copyOf(box), device, box);
        await device.createEntry(box);
        await again.catchUp();
        expect(again.resets).toBe(1);
        await expectSameAsFetched(again.copyOf(box), device, box);
      }
    } finally {
      await after.stop();
      await restored.stop();
    }
  });

  test("kept sessions go on, and an invitation can still be accepted", async () => {
    const restored = await restoreAndStart(file, pathOf("moved"));
    const after = await startTestServer(FACTOR_ENVIRONMENT, restored);
    try {
      const { client } = anyDevice(after);
      expect((await client.refresh(guest.refreshToken)).status).toBe(200);
      const sameGuest = new Device(client, guest.accessToken, guest.refreshToken);
      expect(await listPending(sameGuest)).toHaveLength(1);
    } finally {
      await after.stop();
      await restored.stop();
    }
  });

  test("--verify compares every table and removes what it made", async () => {
    const { tables, different, header } = await verifyBackup(file, RESTORE_OPTIONS);
    expect(different).toEqual([]);
    expect(header.schema).toBe(MIGRATIONS.length);
    expect(new Map(tables.map(({ name, rows }) => [name, rows]))).toEqual(
      new Map([...rowsThen].map(([name, rows]) => [name, rows.length])),
    );
  });

  test("a backup of an older schema is restored at that version and then migrated", async () => {
    const old = await createTestDatabase("template0");
    await migrate(old.db, silentLog, MIGRATIONS.slice(0, 2));
    const [container] = await old.db`
      insert into containers (id, encrypted_blob, version_nonce, modified_timestamp, sequence)
      values (gen_random_uuid(), 'old', 1, timezone('utc', now()), 1) returning id`;
    const { id } = container ?? {};
    await old.db`insert into container_heads values (${id}, 1, 0, 0, 0)`;
    await storeEntries(old.db, { id } as Box, 5);
    const oldFile = pathOf("old.backup");
    expect((await backUp(old, oldFile)).schema).toBe(2);
    await old.db.end();

    const restored = await restoreAndStart(oldFile, pathOf("old"));
    try {
      const [found] = await restored.db`
        select live_entries, last_sequence, (select max(version) from schema_migrations) as version,
          (select count(*) from entries) as entries
        from container_heads where container_id = ${id}`;
      expect({ ...found }).toEqual({
        live_entries: 5,
        last_sequence: 6n + SEQUENCE_GAP,
        version: MIGRATIONS.length,
        entries: 5n,
      });
    } finally {
      await restored.stop();
    }
  });
});
