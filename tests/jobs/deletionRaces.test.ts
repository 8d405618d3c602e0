/** C1: deletions of accounts at the same time as anything else: no orphan, no lost member, no request that fails. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { jobs as queries } from "../../src/db/queries.ts";
import type { Db, Executor } from "../../src/db/query.ts";
import { failureCode } from "../../src/jobs/failure.ts";
import { createUnverified, signInAgain, verdictOn } from "../support/accounts.ts";
import type { Answer } from "../support/client.ts";
import { addKey, postContainer, postEntry, putEntry } from "../support/containerCalls.ts";
import { expectHeadIsExact } from "../support/containerRows.ts";
import { overtake, someoneWaits } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { type Account, confirm, isThere, listKeys, orphans, remaining, signUp } from "./dueAccounts.ts";
import { countRows, inMs, runJob } from "./jobRows.ts";

const ROUNDS = 8;

let server: TestServer;
let db: Db;

beforeAll(async () => {
  server = await startTestServer({ ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000" });
  db = server.db;
});
afterAll(() => server.stop());
afterEach(async () => {
  expect(await orphans(db)).toBe(0);
  expect([...(await db`select error_code from failed_user_deletions`)]).toEqual([]);
});

const deleteUsers = () => runJob(server, "Delete Users");

/** One deletion, as the job does it: it gives up what it does not get soon, and tries again. */
async function deleteAccount({ id }: Account, executor: Executor = db): ReturnType<typeof queries.delete_account> {
  const now = BigInt(server.services.now()) * 1000n;
  for (let attempt = 1; ; attempt++) {
    try {
      return await queries.delete_account(executor, { user_id: id, due_until: now, revoked_until: now });
    } catch (error) {
      if (attempt === 10 || failureCode(error) !== "55P03") throw error;
    }
  }
}

async function dueAccount(boxes = 0): Promise<Account & { boxes: Awaited<ReturnType<Account["createContainer"]>>[] }> {
  const account = await signUp(server);
  const made = await Promise.all(Array.from({ length: boxes }, () => account.createContainer()));
  await listKeys(server, account, made);
  await confirm(server, account);
  return Object.assign(account, { boxes: made });
}

/**
 * Makes a change in a transaction, starts a request or a job, commits when that waits for the change.
 *
 * @returns what it came to
 */
async function meanwhile<Result>(
  change: (transaction: Executor) => Promise<unknown>,
  start: () => Promise<Result>,
): Promise<Result> {
  let started: Promise<Result> | undefined;
  await db.begin(async (transaction) => {
    await change(transaction);
    started = start();
    await someoneWaits(db, 1);
  });
  if (!started) throw new Error("nothing was started");
  return started;
}

function expectNoFailure(answers: readonly Answer<unknown>[], ...expected: string[]): void {
  const seen = answers.map(({ status, error }) => (error ? error.err_type : String(status)));
  expect(seen.filter((outcome) => !expected.includes(outcome))).toEqual([]);
}

describe("C1: the last two members of a container leave at once", () => {
  test("both are deleted and the container goes: the second waits, and sees that the first one's key is gone", async () => {
    const [ann, ben] = [await dueAccount(1), await dueAccount()];
    const [box] = ann.boxes;
    if (!box) throw new Error("no container");
    await listKeys(server, ben, [await addKey(db, box)]);

    const outcome = await meanwhile(
      (transaction) => deleteAccount(ann, transaction),
      () => deleteAccount(ben),
    );
    expect(outcome.revoked_ids).toContain(ben.id);
    expect(await isThere(db, ann)).toBe(false);
    expect(await isThere(db, ben)).toBe(false);
    expect(await remaining(db, [box])).toEqual([]);
  });

  test("with many shared containers, listed in whatever order, neither fails, and all containers go", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const [ann, ben] = [await dueAccount(6), await dueAccount(6)];
      const annsToo = await Promise.all(ben.boxes.map((box) => addKey(db, box)));
      const bensToo = await Promise.all(ann.boxes.toReversed().map((box) => addKey(db, box)));
      await listKeys(server, ann, annsToo);
      await listKeys(server, ben, bensToo);
      const outcomes = await Promise.all([deleteAccount(ann), deleteAccount(ben)]);
      expect(outcomes.map(({ revoked_ids }) => revoked_ids !== null)).toEqual([true, true]);
      expect(await remaining(db, [...ann.boxes, ...ben.boxes])).toEqual([]);
    }
  });

  test("one account deleted by two processes at once is deleted once", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const ann = await dueAccount(2);
      const outcomes = await Promise.all(Array.from({ length: 4 }, () => deleteAccount(ann)));
      expect(outcomes.filter(({ revoked_ids }) => revoked_ids !== null)).toHaveLength(1);
    }
  });
});

describe("C1: members who come at the same moment", () => {
  test("a member who accepts before the deletion has the container's lock keeps the container", async () => {
    const ann = await dueAccount(1);
    const [box] = ann.boxes;
    if (!box) throw new Error("no container");
    const deleted = await overtake(db, box.id, deleteUsers, async (transaction) => {
      await transaction`
        insert into container_access_keys (key_id, container_id, public_key, read_only)
        values (gen_random_uuid(), ${box.id}, ${randomBytes(32)}, true)`;
    });
    expect(deleted).toBe(1);
    expect(await remaining(db, [box])).toEqual([0]);
    expect(await countRows(db, "container_access_keys", `container_id = '${box.id}'`)).toBe(1);
  });

  test("a key that the account lists while its deletion waits goes too, with its container", async () => {
    const ann = await dueAccount(1);
    const [box] = ann.boxes;
    if (!box) throw new Error("no container");
    const later = await ann.createContainer();
    const deleted = await overtake(db, box.id, deleteUsers, () => listKeys(server, ann, [later]));
    expect(deleted).toBe(1);
    expect(await remaining(db, [box, later])).toEqual([]);
  });
});

describe("A12: cancelling", () => {
  test("between the choice of due accounts and the deletion is noticed: nothing is deleted", async () => {
    const ann = await dueAccount(1);
    const deleted = await meanwhile(
      (transaction) => transaction`select cancel_deletion(${ann.id}, gen_random_uuid())`,
      deleteUsers,
    );
    expect(deleted).toBe(0);
    expect(await isThere(db, ann)).toBe(true);
    expect(await remaining(db, ann.boxes)).toEqual([0]);
    expect(await verdictOn(server.client(), ann.accessToken)).toBe("accepted");
  });

  test("and putting off likewise", async () => {
    const ann = await dueAccount(1);
    const deleted = await meanwhile(
      (transaction) => transaction`
        update user_deletion_requests set ready_for_deletion_time = ${inMs(server, 60_000)}::timestamp
        where user_id = ${ann.id}`,
      deleteUsers,
    );
    expect(deleted).toBe(0);
    expect(await isThere(db, ann)).toBe(true);
    expect(await remaining(db, ann.boxes)).toEqual([0]);
    await db`delete from user_deletion_requests where user_id = ${ann.id}`;
  });

  test("through the API at the same moment either cancels or comes too late", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const ann = await dueAccount(1);
      const [answer, deleted] = await Promise.all([
        ann.client.call("DELETE", "/api/user/deletion", { headers: ann.headers() }),
        deleteUsers(),
      ]);
      expectNoFailure([answer], deleted === 1 ? "TOKEN_EXPIRED" : "200");
      expect(await isThere(db, ann)).toBe(deleted === 0);
      expect(await remaining(db, ann.boxes)).toEqual(deleted === 0 ? [0] : []);
    }
  });
});

describe("requests at the moment of a deletion", () => {
  test("an edit that the deletion waits for is done; one that waits for the deletion finds no container", async () => {
    const ann = await dueAccount(2);
    const [first, second] = ann.boxes;
    if (!first || !second) throw new Error("no container");
    const entry_id = await ann.createEntry(second);
    const waited = await overtake(db, first.id, deleteUsers, async (transaction) => {
      await transaction`update container_heads set last_sequence = last_sequence + 1 where container_id = ${first.id}`;
    });
    expect(waited).toBe(1);
    expectNoFailure([await putEntry(ann, second, entry_id)], "TOKEN_EXPIRED");

    const ben = await dueAccount(1);
    const [box] = ben.boxes;
    if (!box) throw new Error("no container");
    const bensEntry = await ben.createEntry(box);
    const edit = await meanwhile(
      (transaction) => deleteAccount(ben, transaction),
      () => putEntry(ben, box, bensEntry),
    );
    expectNoFailure([edit], "CONTAINER_DOES_NOT_EXIST");
  });

  test("edits of a shared container never fail because of it, and go on with the other's key", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const ann = await dueAccount(1);
      const ben = await signUp(server);
      const [box] = ann.boxes;
      if (!box) throw new Error("no container");
      const bensKey = await addKey(db, box);
      const entries = await Promise.all(Array.from({ length: 10 }, () => ben.createEntry(bensKey)));
      const [deleted, ...answers] = await Promise.all([
        deleteUsers(),
        ...entries.map((entry_id) => putEntry(ben, bensKey, entry_id)),
        ...entries.map(() => postEntry(ben, bensKey)),
        ...entries.map(() => postContainer(ben)),
      ]);
      expect(deleted).toBe(1);
      expectNoFailure(answers, "200", "201");
      await expectHeadIsExact(db, box.id);
    }
  });

  test("requests of the account itself are done or refused as of an account that is gone, never with INTERNAL_ERROR", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const ann = await dueAccount(1);
      const { signinToken, otp } = await signInAgain(server, ann.user);
      const [box] = ann.boxes;
      if (!box) throw new Error("no container");
      const call = (method: string, path: string, headers: Record<string, string>) =>
        ann.client.call(method, path, { headers });
      const resend = () => call("POST", "/api/auth/otp/resend-signin-otp", { "x-signin-token": signinToken });
      const [deleted, ...answers] = await Promise.all([
        deleteUsers(),
        ann.client.verifyOtp(signinToken, otp),
        resend(),
        call("POST", "/api/auth/otp", ann.headers()),
        ann.client.refresh(ann.refreshToken),
        ann.client.logout(ann.accessToken, ann.refreshToken),
        postContainer(ann),
        postEntry(ann, box),
        resend(),
      ]);
      expect(deleted).toBe(1);
      const known = ["200", "201", "TOKEN_EXPIRED", "INCORRECT_CREDENTIAL", "CONTAINER_DOES_NOT_EXIST"];
      expectNoFailure(answers, ...known, "CONFLICT_WITH_EXISTING");
      expect(await isThere(db, ann)).toBe(false);
      expect(await countRows(db, "sessions", `user_id = '${ann.id}'`)).toBe(0);
    }
  });

  test("a session that opens at that moment is revoked with the others", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const ann = await dueAccount();
      const { signinToken, otp } = await signInAgain(server, ann.user);
      const [answer] = await Promise.all([ann.client.verifyOtp(signinToken, otp), deleteUsers()]);
      if (answer.value?.tokens) {
        expect(await verdictOn(ann.client, answer.value.tokens.access_token)).toBe("TOKEN_EXPIRED");
      }
    }
  });

  test("one that holds what the deletion needs, and waits for what that holds, wins: the deletion gives up and tries again", async () => {
    const ann = await dueAccount(1);
    await db.unsafe(`
      create function linger() returns trigger language plpgsql as $$ begin perform pg_sleep(0.4); return old; end $$;
      create trigger linger before delete on containers for each row execute function linger();`);
    const isLingering = () => db`
      select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`;
    let deleting: Promise<number> | undefined;
    await db.begin(async (transaction) => {
      await transaction`update user_keystores set version_nonce = 5 where user_id = ${ann.id}`;
      deleting = deleteUsers();
      while ((await isLingering()).count === 0) await Bun.sleep(2);
      // The deletion has the account's row by now, and will want the keystore's.
      expect((await transaction`select from users where id = ${ann.id} for key share`).count).toBe(1);
    });
    expect(await deleting).toBe(1);
    expect(await isThere(db, ann)).toBe(false);
    expect(await remaining(db, ann.boxes)).toEqual([]);
    await db.unsafe("drop trigger linger on containers");
  });

  test("a sign-up of somebody else goes on", async () => {
    await dueAccount(1);
    const [deleted] = await Promise.all([deleteUsers(), createUnverified(server)]);
    expect(deleted).toBe(1);
  });
});
