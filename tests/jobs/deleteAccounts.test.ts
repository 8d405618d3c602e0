/** The job "Delete Users" (platform 7.3; decisions A12, C1). */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Db } from "../../src/db/query.ts";
import { granted, referenceToken, secondDevice, userIdOf, verdictOn } from "../support/accounts.ts";
import { addKey, expectError } from "../support/containerCalls.ts";
import { changesSince, expectHeadIsExact, headOf } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { type Account, confirm, isThere, listKeys, orphans, remaining, signUp } from "./dueAccounts.ts";
import {
  cloneUsers,
  countRows,
  DAY_MS,
  followLog,
  GO_ON,
  HOUR_MS,
  inMs,
  jobNamed,
  MINUTE_MS,
  runJob,
} from "./jobRows.ts";

let server: TestServer;
let db: Db;

beforeAll(async () => {
  server = await startTestServer();
  db = server.db;
});
afterAll(() => server.stop());
afterEach(async () => {
  expect(await orphans(db)).toBe(0);
});

const deleteUsers = () => runJob(server, "Delete Users");

describe("platform 7.3: two users share container A, and the first has B alone", () => {
  test("deleting the first removes B and the key to A; A and its content stay until the second is deleted", async () => {
    const [ann, ben] = [await signUp(server), await signUp(server)];
    const [boxA, boxB] = [await ann.createContainer(), await ann.createContainer()];
    for (const box of [boxA, boxB]) {
      const category_id = await ann.createCategory(box);
      await ann.createEntry(box, { category_id });
    }
    const bensA = await addKey(db, boxA);
    const contentOfA = await ben.read(bensA);
    const rowsOfA = await changesSince(db, boxA.id, 0n);
    await listKeys(server, ann, [boxA, boxB]);
    await confirm(server, ann);

    expect(await deleteUsers()).toBe(1);
    expect(await isThere(db, ann)).toBe(false);
    expect(await isThere(db, ben)).toBe(true);
    expect(await remaining(db, [boxA, boxB])).toEqual([0]);
    expect(await ben.read(bensA)).toEqual(contentOfA);
    expect(await changesSince(db, boxA.id, 0n)).toEqual(rowsOfA);
    await expectHeadIsExact(db, boxA.id);
    expect(await countRows(db, "container_access_keys", `key_id = '${boxA.key_id}'`)).toBe(0);
    expectError(await ben.fetch([boxA.token()]), "CONTAINER_DOES_NOT_EXIST");
    await ben.createEntry(bensA);

    await listKeys(server, ben, [bensA]);
    await confirm(server, ben);
    expect(await deleteUsers()).toBe(1);
    expect(await remaining(db, [boxA, boxB])).toEqual([]);
    for (const table of ["entries", "categories", "container_heads", "container_access_keys"]) {
      expect(await countRows(db, table, `container_id in ('${boxA.id}', '${boxB.id}')`)).toBe(0);
    }
    await expect(headOf(db, boxA.id)).rejects.toThrow("no head");
  });

  test("A survives also where its other members may only read", async () => {
    const ann = await signUp(server);
    const box = await ann.createContainer();
    await addKey(db, box, { read_only: true });
    await listKeys(server, ann, [box]);
    await confirm(server, ann);
    expect(await deleteUsers()).toBe(1);
    expect(await remaining(db, [box])).toEqual([0]);
    expect(await countRows(db, "container_access_keys", `container_id = '${box.id}' and read_only`)).toBe(1);
  });

  test("containers whose key was not listed stay: the server cannot know whose they are", async () => {
    const ann = await signUp(server);
    const box = await ann.createContainer();
    await confirm(server, ann);
    expect(await deleteUsers()).toBe(1);
    expect(await remaining(db, [box])).toEqual([0]);
  });

  test("a container that nobody opens goes also where an invitation to it is open", async () => {
    const ann = await signUp(server);
    const box = await ann.createContainer();
    await db`
      insert into container_accept_keys (key_id, container_id, public_key, expiration, read_only)
      values (gen_random_uuid(), ${box.id}, ${Buffer.alloc(32)}, ${inMs(server, DAY_MS)}::timestamp, false)`;
    await listKeys(server, ann, [box]);
    await confirm(server, ann);
    expect(await deleteUsers()).toBe(1);
    expect(await remaining(db, [box])).toEqual([]);
  });
});

describe("platform 7.3: with the account goes", () => {
  test("every row of the user, and nothing of anybody else's", async () => {
    const [ann, ben] = [await signUp(server), await signUp(server)];
    const tables = await db<{ name: string; user_column: string; on_delete: string }[]>`
      select relation.relname as name, attribute.attname as user_column, confdeltype::text as on_delete
      from pg_constraint as foreign_key
      join pg_class as relation on relation.oid = foreign_key.conrelid
      join pg_attribute as attribute on attribute.attrelid = relation.oid and attribute.attnum = foreign_key.conkey[1]
      where foreign_key.contype = 'f' and foreign_key.confrelid = 'users'::regclass`;
    expect(tables.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["sessions", "user_keystores", "user_deletion_requests", "container_share_invites"]),
    );
    expect(tables.filter(({ on_delete }) => on_delete !== "c")).toEqual([]);
    for (const { id, user } of [ann, ben]) await fillTables(id, user.email);
    const rowsOf = async ({ id, user }: Account) => {
      const counts: Record<string, number> = {};
      for (const { name, user_column } of tables) {
        counts[name] = await countRows(db, name, `${user_column}::text in ('${id}', '${user.email}')`);
      }
      return counts;
    };
    await confirm(server, ann);
    await confirm(server, ben, -HOUR_MS);
    const before = await rowsOf(ben);
    for (const table of FILLED) expect(before[table], table).toBeGreaterThan(0);

    expect(await deleteUsers()).toBe(1);
    expect(Object.entries(await rowsOf(ann)).filter(([, count]) => count > 0)).toEqual([]);
    expect(await rowsOf(ben)).toEqual(before);
  });

  const FILLED = [
    "user_flags",
    "user_preferences",
    "user_keystores",
    "user_otps",
    "sessions",
    "user_deletion_requests",
    "user_deletion_request_container_keys",
    "container_share_invites",
    "passkey_challenges",
    "second_factor_attempts",
  ];

  /** A row in tables that a sign-up leaves empty. */
  async function fillTables(id: string, email: string): Promise<void> {
    const box = await (await signUp(server)).createContainer();
    await addKey(db, box);
    const inAnHour = inMs(server, HOUR_MS);
    await db`
      insert into user_deletion_request_container_keys (user_id, key_id, delete_me_time)
      values (${id}, ${box.key_id}, ${inAnHour}::timestamp)`;
    await db`
      insert into passkey_challenges (user_id, purpose, challenge, binding, expiration)
      values (${id}, 'sign-in', ${Buffer.alloc(32)}, '', ${inAnHour}::timestamp)`;
    await db`insert into second_factor_attempts (user_id, period_start, failures) values (${id}, now(), 1)`;
    await db`
      insert into container_share_invites (
        id, recipient_user_email, sender_public_key, encryption_key_encrypted, container_accept_private_key_encrypted,
        container_info_encrypted, sender_info_encrypted, container_accept_key_info_encrypted,
        container_accept_key_id_encrypted, share_info_symmetric_key_encrypted, recipient_public_key_id_used_by_sender,
        recipient_public_key_id_used_by_server, created_unix_timestamp_intdiv_five_million)
      values (gen_random_uuid(), ${email}, '', '', '', '', '', '', '', '', ${id}, ${id}, 353)`;
  }

  test("C1, A3: its sessions: access and refresh tokens are refused at once, in every process, the reference's too", async () => {
    const other = await startTestServer({}, server.database);
    try {
      const ann = await signUp(server);
      const phone = await secondDevice(server, ann);
      const fromReference = {
        access: referenceToken(server, "Access", { user_id: ann.id, email: ann.user.email }),
        refresh: referenceToken(server, "Refresh", { user_id: ann.id, email: ann.user.email }),
      };
      const tokens = [ann.accessToken, phone.accessToken, fromReference.access];
      for (const token of tokens) expect(await verdictOn(server.client(), token)).toBe("accepted");
      await confirm(server, ann);
      expect(await deleteUsers()).toBe(1);

      for (const token of tokens) expect(await verdictOn(server.client(), token)).toBe("TOKEN_EXPIRED");
      for (const token of [ann.refreshToken, phone.refreshToken, fromReference.refresh]) {
        expectError(await server.client().refresh(token), "TOKEN_EXPIRED");
      }
      const deadline = performance.now() + 2_000;
      for (const token of tokens) {
        while ((await verdictOn(other.client(), token)) !== "TOKEN_EXPIRED" && performance.now() < deadline) {
          await Bun.sleep(5);
        }
        expect(await verdictOn(other.client(), token)).toBe("TOKEN_EXPIRED");
      }
    } finally {
      await other.stop();
    }
  });

  test("its address: who signs up with it again gets an empty account", async () => {
    const ann = await signUp(server);
    await confirm(server, ann);
    await deleteUsers();
    const again = await server.signUp(ann.user);
    expect(await userIdOf(server, again.user)).not.toBe(ann.id);
  });
});

describe("what is due", () => {
  test("a request that is not yet due is left alone, to the second", async () => {
    const ann = await signUp(server);
    await confirm(server, ann, -10_000);
    expect(await deleteUsers()).toBe(0);
    expect(await isThere(db, ann)).toBe(true);
    server.clock.aheadMs += 10_000;
    expect(await deleteUsers()).toBe(1);
  });

  test("8.9: keys that were listed and never confirmed delete nothing", async () => {
    const ann = await signUp(server);
    const box = await ann.createContainer();
    await listKeys(server, ann, [box]);
    expect(await deleteUsers()).toBe(0);
    expect(await isThere(db, ann)).toBe(true);
    expect(await remaining(db, [box])).toEqual([0]);
  });

  test("A12: a deletion that was requested and confirmed twice is one deletion, of all that was listed", async () => {
    const ann = await signUp(server);
    const boxes = [await ann.createContainer(), await ann.createContainer()];
    await listKeys(server, ann, boxes.slice(0, 1));
    await confirm(server, ann, -DAY_MS);
    await listKeys(server, ann, boxes);
    await confirm(server, ann);
    expect(await deleteUsers()).toBe(1);
    expect(await remaining(db, boxes)).toEqual([]);
    expect(await deleteUsers()).toBe(0);
  });

  test("the longest due account goes first", async () => {
    const accounts = [await signUp(server), await signUp(server), await signUp(server)];
    for (const [index, dueSinceMs] of [HOUR_MS, 3 * HOUR_MS, 2 * HOUR_MS].entries()) {
      await confirm(server, accounts[index] as Account, dueSinceMs);
    }
    await db.unsafe(`
      create table order_of_deletion (place serial, id uuid);
      create function note_order() returns trigger language plpgsql as
        $$ begin insert into order_of_deletion (id) values (old.id); return old; end $$;
      create trigger note_order before delete on users for each row execute function note_order();`);
    expect(await deleteUsers()).toBe(3);
    const order = await db`select id from order_of_deletion order by place`;
    expect(order.map(({ id }) => accounts.findIndex((account) => account.id === id))).toEqual([1, 2, 0]);
    await db.unsafe("drop trigger note_order on users; drop table order_of_deletion");
  });

  test("2,500 due accounts all go in one run, and two runs at once delete each once and do not fail", async () => {
    const template = await signUp(server);
    const ids = await cloneUsers(db, template.id, 2_500);
    await db`
      insert into user_deletion_requests (user_id, ready_for_deletion_time)
      select id, ${inMs(server, -1000)}::timestamp from unnest(${ids}::uuid[]) as id`;
    const before = await countRows(db, "users");
    const [first, second] = await Promise.all([deleteUsers(), deleteUsers()]);
    expect(first + second).toBe(2_500);
    expect(await countRows(db, "users")).toBe(before - 2_500);
    expect(await countRows(db, "failed_user_deletions")).toBe(0);
  });
});

describe("A12: a deletion that fails", () => {
  /** Makes the database refuse to delete this account, as a broken index or a rule of an operator's would. */
  async function breakDeletion({ id, user }: Account) {
    await db
      .unsafe(`
        create function refuse_deletion() returns trigger language plpgsql as $$
        begin
          if old.id = '${id}' then raise exception 'not % of ${user.email}', old.id using errcode = 'P0042'; end if;
          return old;
        end $$;
        create trigger refuse_deletion before delete on users for each row execute function refuse_deletion();`)
      .simple();
    return () => db.unsafe("drop trigger refuse_deletion on users; drop function refuse_deletion").simple();
  }

  async function failureOf({ id }: Account) {
    const [row] = await db`select failures, error_code, retry_at from failed_user_deletions where user_id = ${id}`;
    if (!row) return undefined;
    const waitMins = Math.round((Number(row.retry_at) / 1000 - server.services.now()) / MINUTE_MS);
    return { failures: row.failures, error_code: row.error_code, waitMins };
  }

  test("changes nothing, is recorded and logged without more than its id, and the others go on", async () => {
    const [ann, ben] = [await signUp(server), await signUp(server)];
    const box = await ann.createContainer();
    await ann.createEntry(box);
    const content = await ann.read(box);
    await listKeys(server, ann, [box]);
    await confirm(server, ann, 2000);
    await confirm(server, ben, 1000);
    const repair = await breakDeletion(ann);
    const readLog = followLog(server);

    expect(await deleteUsers()).toBe(1);
    expect(await isThere(db, ben)).toBe(false);
    expect(await failureOf(ann)).toEqual({ failures: 1, error_code: "P0042", waitMins: 5 });
    expect(await ann.read(box)).toEqual(content);
    expect(await verdictOn(server.client(), ann.accessToken)).toBe("accepted");
    granted(await server.client().refresh(ann.refreshToken));
    const logged = readLog();
    const errors = logged.filter(({ level }) => level === "error");
    expect(errors).toEqual([
      {
        time: expect.any(String),
        level: "error",
        event: "an account could not be deleted",
        user_id: ann.id,
        code: "P0042",
        failures: 1,
      },
    ]);
    expect(JSON.stringify(logged)).not.toContain(ann.user.email);

    await repair();
    expect(await deleteUsers()).toBe(0);
    server.clock.aheadMs += 5 * MINUTE_MS;
    expect(await deleteUsers()).toBe(1);
    expect(await isThere(db, ann)).toBe(false);
    expect(await remaining(db, [box])).toEqual([]);
    expect(await failureOf(ann)).toBeUndefined();
  });

  test("is retried after 5 minutes, then after twice as long each time, at most a day", async () => {
    const ann = await signUp(server);
    await confirm(server, ann);
    const repair = await breakDeletion(ann);
    const waits: (number | undefined)[] = [];
    for (let failures = 1; failures <= 12; failures++) {
      expect(await deleteUsers()).toBe(0);
      const failure = await failureOf(ann);
      expect(failure?.failures).toBe(failures);
      waits.push(failure?.waitMins);
      server.clock.aheadMs += (failure?.waitMins ?? 0) * MINUTE_MS - 5_000;
      await deleteUsers();
      expect((await failureOf(ann))?.failures).toBe(failures);
      server.clock.aheadMs += 6_000;
    }
    expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440]);
    await db`update failed_user_deletions set failures = 1000000 where user_id = ${ann.id}`;
    await deleteUsers();
    expect(await failureOf(ann)).toEqual({ failures: 1_000_001, error_code: "P0042", waitMins: 1440 });
    await repair();
  });

  test("is forgotten with the request: who cancels and asks again waits for nothing", async () => {
    const ann = await signUp(server);
    await confirm(server, ann);
    const repair = await breakDeletion(ann);
    await deleteUsers();
    await repair();
    await db`delete from user_deletion_requests where user_id = ${ann.id}`;
    expect(await failureOf(ann)).toBeUndefined();
    await confirm(server, ann);
    expect(await deleteUsers()).toBe(1);
  });

  test("because the database is away ends the run, and is no failure of the account's", async () => {
    const ann = await signUp(server);
    await confirm(server, ann);
    let statements = 0;
    const dying = new Proxy(db, {
      get: (target, property) =>
        property === "unsafe" && ++statements > 1
          ? () => Promise.reject(Object.assign(new Error("gone"), { code: "CONNECTION_CLOSED" }))
          : Reflect.get(target, property),
    });
    await expect(jobNamed("Delete Users").run({ ...server.services, db: dying }, GO_ON)).rejects.toThrow("gone");
    expect(await failureOf(ann)).toBeUndefined();
    expect(await deleteUsers()).toBe(1);
  });
});
