/** `user`: what an operator sees and does, on a database on which two server processes work. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { deleteUser, listUsers, revokeSessions, showUser } from "../../src/commands/user.ts";
import type { Db } from "../../src/db/query.ts";
import { type Account, confirm, isThere, listKeys, orphans, remaining, signUp } from "../jobs/dueAccounts.ts";
import { cloneUsers, countRows, DAY_MS } from "../jobs/jobRows.ts";
import { secondDevice, verdictOn } from "../support/accounts.ts";
import { enrolPasskey, enrolTotp, FACTOR_ENVIRONMENT } from "../support/factors.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let other: TestServer;
/** The command's own connections. */
let db: Db;
beforeAll(async () => {
  server = await startTestServer(FACTOR_ENVIRONMENT);
  other = await startTestServer(FACTOR_ENVIRONMENT, server.database);
  db = server.database.connect();
});
afterAll(async () => {
  await db.end();
  await other.stop();
  await server.stop();
});

const config = () => server.services.config;
const shown = async (email: string) => JSON.parse(await showUser(db, email, true));

/** Waits until both processes refuse a token. */
async function refusedEverywhere(token: string): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const verdicts = await Promise.all([server, other].map((process) => verdictOn(process.client(), token)));
    if (verdicts.every((verdict) => verdict === "TOKEN_EXPIRED")) return;
    if (performance.now() > deadline) throw new Error(`still accepted: ${verdicts}`);
    await Bun.sleep(5);
  }
}

describe("issue 6.7: user show", () => {
  test("shows what the server knows: sessions, key, second factors, deletion, sizes; for scripts as JSON", async () => {
    const account = await signUp(server);
    const { email, public_key, user_keystore_encrypted, preferences_encrypted, public_key_id } = account.user;
    await secondDevice(server, account);
    expect(await shown(email)).toEqual({
      id: account.id,
      email,
      is_verified: true,
      verification_deadline: null,
      sessions: 2,
      last_session_expires: expect.stringMatching(/^\d{4}-.*Z$/),
      public_key: { id: public_key_id, kind: "RSA-2048", bytes: public_key.length },
      has_totp: false,
      passkeys: 0,
      recovery_codes_left: 0,
      deletion_due: null,
      failed_deletions: 0,
      container_keys_listed_for_deletion: 0,
      invitations: 0,
      has_performed_bulk_upload: false,
      keystore_bytes: user_keystore_encrypted.length,
      preferences_bytes: preferences_encrypted.length,
    });

    await enrolTotp(server, account);
    await enrolPasskey(account);
    await listKeys(server, account, [await account.createContainer()]);
    await confirm(server, account, -DAY_MS);
    expect(await shown(email)).toMatchObject({
      has_totp: true,
      passkeys: 1,
      recovery_codes_left: 10,
      deletion_due: expect.stringMatching(/^\d{4}-/),
      container_keys_listed_for_deletion: 1,
    });
    const text = await showUser(db, email);
    expect(text).toEndWith("\n");
    expect(text).toContain("authenticator app, 1 passkey, 10 recovery codes");
    expect(text).toContain("1 listed for deletion");
  });

  test("W10: finds the address in any ASCII case, and no other", async () => {
    const { user } = await signUp(server);
    expect((await shown(user.email.toUpperCase())).email).toBe(user.email);
    expect(showUser(db, `${user.email}x`)).rejects.toThrow(`There is no account with the address "${user.email}x".`);
    expect(showUser(db, "%")).rejects.toThrow("There is no account");
  });

  test("prints no blob, hash or secret", async () => {
    const account = await signUp(server);
    const [row] = await db`select * from users where id = ${account.id}`;
    const secrets = Object.values(row ?? {}).filter(
      (value) => value instanceof Uint8Array || /^[$]/.test(String(value)),
    );
    expect(secrets.length).toBeGreaterThan(5);
    for (const text of [await showUser(db, account.user.email), await showUser(db, account.user.email, true)]) {
      for (const secret of secrets) {
        const bytes = Buffer.from(secret as Uint8Array);
        for (const form of [bytes.toString("latin1"), bytes.toString("base64"), bytes.toString("hex")]) {
          expect(text).not.toContain(form);
        }
      }
    }
  });

  test("W10: what a terminal would obey is not printed raw, whatever address the reference let in", async () => {
    const account = await signUp(server);
    await db`update users set email = ${`\u001b[2j${account.user.email}`} where id = ${account.id}`;
    const text = (await showUser(db, `\u001b[2j${account.user.email}`)) + (await listUsers(db, { limit: 1000 }));
    expect(text).not.toContain("\u001b");
    await db`delete from users where id = ${account.id}`;
  });
});

describe("issue 6.7: user list", () => {
  test("goes through all accounts page by page, each once, in the order of their ids", async () => {
    const { id } = await signUp(server);
    await cloneUsers(db, id, 25, new Date(Date.now() + DAY_MS).toISOString());
    const everyone = await db<{ id: string; email: string }[]>`select id, email from users order by id`;
    const seen: { id: string; email: string; is_verified: boolean; sessions: number }[] = [];
    let pages = 0;
    for (let after: string | undefined; ; pages++) {
      const { users, next } = JSON.parse(await listUsers(db, { limit: 7, after }, true));
      expect(users.length).toBeLessThanOrEqual(7);
      seen.push(...users);
      if (next === null) break;
      after = next;
    }
    expect(pages).toBe(Math.ceil(everyone.length / 7) - 1);
    expect(seen.map((user) => [user.id, user.email])).toEqual(everyone.map((user) => [user.id, user.email]));
    expect(seen.filter(({ is_verified }) => !is_verified)).toHaveLength(25);
    expect(seen.find((user) => user.id === id)).toMatchObject({ is_verified: true, sessions: 1, deletion_due: null });
  });

  test("as text tells how to go on, but not after the last page", async () => {
    const [last] = await db`select id from users order by id offset 2 limit 1`;
    const text = await listUsers(db, { limit: 3 });
    expect(text.split("\n")).toHaveLength(6);
    expect(text).toEndWith(`\nMore: entries-server user list --limit 3 --after ${last?.id}\n`);
    expect(await listUsers(db, { limit: 1000 })).not.toContain("More:");
  });
});

describe("issue 6.7, A3: user revoke-sessions", () => {
  test("ends all sessions; every process refuses the access tokens at once, and the refresh tokens", async () => {
    const account = await signUp(server);
    const device = await secondDevice(server, account);
    const bystander = await signUp(server);
    expect(await revokeSessions(config(), db, account.user.email.toUpperCase())).toBe(
      `Ended 2 sessions of account ${account.id}; their tokens are refused at once.\n`,
    );
    await refusedEverywhere(account.accessToken);
    await refusedEverywhere(device.accessToken);
    expect((await other.client().refresh(account.refreshToken)).error?.err_type).toBe("TOKEN_EXPIRED");
    expect(await verdictOn(other.client(), bystander.accessToken)).toBe("accepted");
    expect(await isThere(db, account)).toBe(true);

    const again = await secondDevice(server, account);
    expect(await verdictOn(other.client(), again.accessToken)).toBe("accepted");
  });

  test("refuses an address without an account", () => {
    expect(revokeSessions(config(), db, "nobody@example.com")).rejects.toThrow("There is no account");
  });
});

describe("issue 6.7, A12: user delete", () => {
  const agreed = async () => true;

  test("takes the account, its sessions, the listed keys and what only they open; the rest stays and is explained", async () => {
    const [account, friend] = [await signUp(server), await signUp(server)];
    const alone = await account.createContainer();
    const shared = await account.createContainer();
    const unlisted = await account.createContainer();
    await db`
      insert into container_access_keys (key_id, container_id, public_key, read_only)
      values (gen_random_uuid(), ${shared.id}, ${randomBytes(32)}, false)`;
    await listKeys(server, account, [alone, shared]);

    const text = await deleteUser(config(), db, account.user.email, agreed);
    expect(text).toStartWith(`Deleted account ${account.id} and ended 1 session.\n`);
    expect(text).toContain("2 container keys that it had listed");
    expect(text).toContain("What stays: containers that it opened without listing their keys.");
    expect(text).toContain("ENTRIES_IDLE_CONTAINER_MAX_AGE_DAYS is not set");
    expect(await isThere(db, account)).toBe(false);
    expect(await remaining(db, [alone, shared, unlisted])).toEqual([1, 2]);
    expect(await countRows(db, "container_access_keys", `container_id = '${shared.id}'`)).toBe(1);
    expect(await orphans(db)).toBe(0);
    await refusedEverywhere(account.accessToken);
    expect((await other.client().refresh(account.refreshToken)).error?.err_type).toBe("TOKEN_EXPIRED");
    expect(await verdictOn(other.client(), friend.accessToken)).toBe("accepted");
  });

  test("is shown the account and deletes nothing unless the operator agrees", async () => {
    const account = await signUp(server);
    let facts = "";
    const refusal = deleteUser(config(), db, account.user.email, async (text) => {
      facts = text;
      return false;
    });
    await expect(refusal).rejects.toThrow("Nothing was deleted.");
    expect(facts).toContain(account.id);
    expect(await isThere(db, account)).toBe(true);
    expect((await shown(account.user.email)).deletion_due).toBeNull();
  });

  test("does not wait for a deletion that is scheduled for later or has failed before", async () => {
    const account = await signUp(server);
    await confirm(server, account, -7 * DAY_MS);
    await db`
      insert into failed_user_deletions (user_id, failures, error_code, retry_at)
      values (${account.id}, 3, 'XX000', ${new Date(Date.now() + DAY_MS).toISOString()}::timestamp)`;
    await deleteUser(config(), db, account.user.email, agreed);
    expect(await isThere(db, account)).toBe(false);
  });

  test("of several at once one succeeds, the others find no account, and nothing else breaks", async () => {
    const account = await signUp(server);
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => deleteUser(config(), db, account.user.email, agreed)),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason.message).toContain("There is no account");
    }
  });

  test("a failed deletion schedules nothing", async () => {
    const account: Account = await signUp(server);
    await db.unsafe(
      `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$`,
    );
    await db.unsafe(`create trigger refuse before delete on users for each row execute function refuse()`);
    await expect(deleteUser(config(), db, account.user.email, agreed)).rejects.toThrow();
    await db.unsafe("drop trigger refuse on users");
    expect(await shown(account.user.email)).toMatchObject({ deletion_due: null, sessions: 1 });
  });

  test("refuses an address without an account, before it asks", async () => {
    let wasAsked = false;
    const refusal = deleteUser(config(), db, "nobody@example.com", async () => {
      wasAsked = true;
      return true;
    });
    await expect(refusal).rejects.toThrow("There is no account");
    expect(wasAsked).toBe(false);
  });
});
