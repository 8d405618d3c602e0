/** Each job that clears what expired: exactly that, in steps, also when two processes run it at once. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Db } from "../../src/db/query.ts";
import { createUnverified, granted, signInAgain, userIdOf } from "../support/accounts.ts";
import { addKey, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { cloneUsers, countRows, DAY_MS, inMs, MINUTE_MS, noteDeletes, runJob } from "./jobRows.ts";

const SECOND_MS = 1000;

let server: TestServer;
let db: Db;
let userId: string;

beforeAll(async () => {
  server = await startTestServer();
  db = server.db;
  userId = await userIdOf(server, (await server.signUp()).user);
});
afterAll(() => server.stop());

/** A unique bytea of 32 bytes for each row of a series. */
const UNIQUE_BYTES = "decode(md5(i::text) || md5(gen_random_uuid()::text), 'hex')";

describe("Clear Expired Otps", () => {
  const resend = (token: string) =>
    server.client().call("POST", "/api/auth/otp/resend-signin-otp", { headers: { "x-signin-token": token } });

  test("accounts.md 9: expired passcodes go, others stay and work", async () => {
    const late = await createUnverified(server);
    server.clock.aheadMs += 16 * MINUTE_MS;
    const early = await createUnverified(server);
    await runJob(server, "Clear Expired Otps");

    expect(await countRows(db, "user_otps", `user_id = '${await userIdOf(server, late.user)}'`)).toBe(0);
    granted(await server.client().verifyOtp(early.signinToken, early.otp));
    // Who comes back later gets a new one.
    const { signinToken, otp } = await signInAgain(server, late.user);
    granted(await server.client().verifyOtp(signinToken, otp));
  });

  test("A7: a row that counts the mails of the present period stays, though its passcode expired", async () => {
    const { signinToken } = await createUnverified(server);
    for (let sent = 1; sent < 5; sent++) expectEmptyOk(await resend(signinToken));
    server.clock.aheadMs += 11 * MINUTE_MS;
    await runJob(server, "Clear Expired Otps");
    expectError(await resend(signinToken), "TOO_MANY_ATTEMPTS");

    server.clock.aheadMs += 4 * MINUTE_MS + 1 * SECOND_MS;
    await runJob(server, "Clear Expired Otps");
    expectEmptyOk(await resend(signinToken));
  });

  test("A6: challenges go when they expired, and not before", async () => {
    const { user } = await createUnverified(server);
    const { nonce } = granted(await server.client().nonce(user.email));
    server.clock.aheadMs += 10 * MINUTE_MS - 5 * SECOND_MS;
    await runJob(server, "Clear Expired Otps");
    expect(await countRows(db, "signin_challenges", `nonce = ${nonce}`)).toBe(1);

    server.clock.aheadMs += 6 * SECOND_MS;
    await runJob(server, "Clear Expired Otps");
    expect(await countRows(db, "signin_challenges")).toBe(0);
  });

  test("passkey challenges go when they expired", async () => {
    await db`
      insert into passkey_challenges (user_id, purpose, challenge, binding, expiration) values
        (${userId}, 'enrolment', ${Buffer.alloc(32)}, '', ${inMs(server, -1)}::timestamp),
        (${userId}, 'sign-in', ${Buffer.alloc(32)}, '', ${inMs(server, SECOND_MS)}::timestamp)`;
    await runJob(server, "Clear Expired Otps");
    expect((await db`select purpose from passkey_challenges`).map(({ purpose }) => purpose)).toEqual(["sign-in"]);
  });
});

describe("Unblacklist Expired Tokens", () => {
  test("platform 7.2: tokens go 120 s after they expired", async () => {
    const list = (last: number, ms: number) =>
      db`insert into blacklisted_tokens values (${Buffer.of(last)}, ${inMs(server, ms)}::timestamp)`;
    await db`delete from blacklisted_tokens`;
    await list(1, -121 * SECOND_MS);
    await list(2, -115 * SECOND_MS);
    await list(3, 10 * SECOND_MS);

    expect(await runJob(server, "Unblacklist Expired Tokens")).toBe(1);
    const left = await db`select token_signature from blacklisted_tokens order by token_signature`;
    expect(left.map(({ token_signature }) => token_signature[0])).toEqual([2, 3]);
  });

  test("platform 7.3, job 6: a used sign-in token that is still good stays refused", async () => {
    const { user, signinToken, otp } = await createUnverified(server);
    granted(await server.client().verifyOtp(signinToken, otp));
    await runJob(server, "Unblacklist Expired Tokens");
    await signInAgain(server, user);
    expectError(await server.client().verifyOtp(signinToken, server.otpFor(user.email)), "INCORRECT_CREDENTIAL");
  });
});

describe("Clear Expired Sessions", () => {
  test("A3: sessions go when their refresh token expired, others stay and work", async () => {
    const old = await server.signUp();
    server.clock.aheadMs += 29 * DAY_MS;
    const recent = await server.signUp();
    server.clock.aheadMs += 1 * DAY_MS + SECOND_MS;

    expect(await runJob(server, "Clear Expired Sessions")).toBeGreaterThan(0);
    expect(await countRows(db, "sessions", `user_id = '${await userIdOf(server, old.user)}'`)).toBe(0);
    granted(await server.client().refresh(recent.refreshToken));
  });

  test("A3: revoked sessions go when no access token of theirs can be good any more in any process", async () => {
    await db`delete from revoked_sessions`;
    const device = await server.signUp();
    expectEmptyOk(await server.client().logout(device.accessToken, device.refreshToken));
    server.clock.aheadMs += 16 * MINUTE_MS;
    await runJob(server, "Clear Expired Sessions");
    expect(await countRows(db, "revoked_sessions")).toBe(1);

    server.clock.aheadMs += 1 * MINUTE_MS + SECOND_MS;
    await runJob(server, "Clear Expired Sessions");
    expect(await countRows(db, "revoked_sessions")).toBe(0);
  });
});

describe("Clear Unverified Users", () => {
  test("platform 7.3, job 4: only accounts that never proved their address go, after seven days", async () => {
    const verified = await server.signUp();
    const old = await createUnverified(server);
    server.clock.aheadMs += 1 * DAY_MS;
    const young = await createUnverified(server);
    server.clock.aheadMs += 6 * DAY_MS + SECOND_MS;

    await runJob(server, "Clear Unverified Users");
    const emails = (await db`select email from users`).map(({ email }) => email);
    expect(emails).not.toContain(old.user.email);
    expect(emails).toContain(young.user.email);
    expect(emails).toContain(verified.user.email);
    for (const table of ["user_preferences", "user_keystores", "user_flags"]) {
      expect(await countRows(db, table)).toBe(emails.length);
    }
  });

  test("C15: who is proving the address at the deadline keeps the account", async () => {
    const { user } = await createUnverified(server);
    server.clock.aheadMs += 7 * DAY_MS - MINUTE_MS;
    const { signinToken, otp } = await signInAgain(server, user);
    server.clock.aheadMs += 2 * MINUTE_MS;
    await runJob(server, "Clear Unverified Users");
    const [, answer] = await Promise.all([
      runJob(server, "Clear Unverified Users"),
      server.client().verifyOtp(signinToken, otp),
    ]);
    granted(answer);
    await runJob(server, "Clear Unverified Users");
    expect(await countRows(db, "users", `email = '${user.email}'`)).toBe(1);
  });

  test("a passcode that expired holds up nothing", async () => {
    const { user } = await createUnverified(server);
    server.clock.aheadMs += 7 * DAY_MS - MINUTE_MS;
    await signInAgain(server, user);
    server.clock.aheadMs += 11 * MINUTE_MS;
    await runJob(server, "Clear Unverified Users");
    expect(await countRows(db, "users", `email = '${user.email}'`)).toBe(0);
  });
});

describe("Clear Old User Deletion Requests", () => {
  /** A container of the user whose key is listed for deletion until a time. */
  async function listKey(user: string, key_id: string, msFromNow: number) {
    await db`
      insert into user_deletion_request_container_keys (user_id, key_id, delete_me_time)
      values (${user}, ${key_id}, ${inMs(server, msFromNow)}::timestamp)`;
  }

  test("A12: key rows of a deletion that was never confirmed go when their time is over", async () => {
    const device = await server.signUp();
    const id = await userIdOf(server, device.user);
    const box = await device.createContainer();
    const other = await addKey(db, box);
    await listKey(id, box.key_id, -1);
    await listKey(id, other.key_id, MINUTE_MS);

    expect(await runJob(server, "Clear Old User Deletion Requests")).toBe(1);
    const left = await db`select key_id from user_deletion_request_container_keys where user_id = ${id}`;
    expect(left.map(({ key_id }) => key_id)).toEqual([other.key_id]);
    expect(await countRows(db, "container_access_keys", `container_id = '${box.id}'`)).toBe(2);
  });

  test("C14: a late confirmation is never lost: neither the request nor its keys go, however late it is", async () => {
    const device = await server.signUp();
    const id = await userIdOf(server, device.user);
    const box = await device.createContainer();
    await listKey(id, box.key_id, -30 * DAY_MS);
    await db`insert into user_deletion_requests values (${id}, ${inMs(server, -DAY_MS)}::timestamp)`;

    expect(await runJob(server, "Clear Old User Deletion Requests")).toBe(0);
    expect(await runJob(server, "Delete Users")).toBe(1);
    expect(await countRows(db, "users", `id = '${id}'`)).toBe(0);
    expect(await countRows(db, "containers", `id = '${box.id}'`)).toBe(0);
  });

  test("A12: the same key listed by somebody else is another row", async () => {
    const [ann, ben] = [await server.signUp(), await server.signUp()];
    const box = await ann.createContainer();
    await listKey(await userIdOf(server, ann.user), box.key_id, -1);
    await listKey(await userIdOf(server, ben.user), box.key_id, MINUTE_MS);
    expect(await runJob(server, "Clear Old User Deletion Requests")).toBe(1);
    expect(await countRows(db, "user_deletion_request_container_keys", `key_id = '${box.key_id}'`)).toBe(1);
  });
});

describe("rows that a request holds", () => {
  test("are left for the next run: no job waits for them, and the others go", async () => {
    await runJob(server, "Clear Expired Sessions");
    const insert = (id: string) => db`
      insert into sessions (id, user_id, refresh_token_hash, rotated_at, expiration)
      values (${id}, ${userId}, ${Buffer.alloc(32)}, now(), ${inMs(server, -1000)}::timestamp)`;
    const [held, free] = [crypto.randomUUID(), crypto.randomUUID()];
    await insert(held);
    await insert(free);
    await db.begin(async (transaction) => {
      await transaction`select from sessions where id = ${held} for update`;
      expect(await runJob(server, "Clear Expired Sessions")).toBe(1);
    });
    expect(await countRows(db, "sessions", `id = '${free}'`)).toBe(0);
    expect(await runJob(server, "Clear Expired Sessions")).toBe(1);
  });
});

describe("many rows", () => {
  const COUNT = 2_500;
  const MANY: { table: string; job: string; fill: () => Promise<unknown> }[] = [
    {
      table: "container_accept_keys",
      job: "Clear Expired Container Invites",
      async fill() {
        const box = await (await server.signUp()).createContainer();
        await db`
          insert into container_accept_keys (key_id, container_id, public_key, expiration, read_only)
          select gen_random_uuid(), ${box.id}, ${Buffer.alloc(32)}::bytea, ${inMs(server, -1000)}::timestamp, false
          from generate_series(1, ${COUNT}::int)`;
      },
    },
    {
      table: "container_share_invites",
      job: "Clear Expired Container Invites",
      fill: () => db`
        insert into container_share_invites
        select
          gen_random_uuid(), email, '', '', '', '', '', '', '', '', gen_random_uuid(), gen_random_uuid(), 0
        from users, generate_series(1, ${COUNT}::int)
        where users.id = ${userId}`,
    },
    {
      table: "user_otps",
      job: "Clear Expired Otps",
      async fill() {
        const ids = await cloneUsers(db, userId, COUNT);
        await db`
          insert into user_otps (user_id, purpose, expiration, attempts_left, period_start, sent_in_period)
          select id, 'sign-in', ${inMs(server, -DAY_MS)}::timestamp, 5, ${inMs(server, -DAY_MS)}::timestamp, 1
          from unnest(${ids}::uuid[]) as id`;
      },
    },
    {
      table: "signin_challenges",
      job: "Clear Expired Otps",
      fill: () =>
        db.unsafe(`
          insert into signin_challenges (address_hmac, nonce, expiration)
          select ${UNIQUE_BYTES}, i, '${inMs(server, -1000)}' from generate_series(1, ${COUNT}) as i`),
    },
    {
      table: "passkey_challenges",
      job: "Clear Expired Otps",
      async fill() {
        const ids = await cloneUsers(db, userId, COUNT);
        await db`
          insert into passkey_challenges (user_id, purpose, challenge, binding, expiration)
          select id, 'sign-in', ${Buffer.alloc(32)}::bytea, ''::bytea, ${inMs(server, -1000)}::timestamp
          from unnest(${ids}::uuid[]) as id`;
      },
    },
    {
      table: "sessions",
      job: "Clear Expired Sessions",
      fill: () =>
        db.unsafe(`
          insert into sessions (id, user_id, refresh_token_hash, rotated_at, expiration)
          select gen_random_uuid(), '${userId}', ${UNIQUE_BYTES}, now(), '${inMs(server, -1000)}'
          from generate_series(1, ${COUNT}) as i`),
    },
    {
      table: "revoked_sessions",
      job: "Clear Expired Sessions",
      fill: () =>
        db.unsafe(`
          insert into revoked_sessions (session_id, expiration)
          select gen_random_uuid(), '${inMs(server, -DAY_MS)}' from generate_series(1, ${COUNT})`),
    },
    {
      table: "blacklisted_tokens",
      job: "Unblacklist Expired Tokens",
      fill: () =>
        db.unsafe(`
          insert into blacklisted_tokens (token_signature, token_expiration)
          select ${UNIQUE_BYTES}, '${inMs(server, -DAY_MS)}' from generate_series(1, ${COUNT}) as i`),
    },
    {
      table: "users",
      job: "Clear Unverified Users",
      fill: () => cloneUsers(db, userId, COUNT, inMs(server, -1000)),
    },
    {
      table: "user_deletion_request_container_keys",
      job: "Clear Old User Deletion Requests",
      async fill() {
        const box = await (await server.signUp()).createContainer();
        const ids = await cloneUsers(db, userId, COUNT);
        await db`
          insert into user_deletion_request_container_keys (user_id, key_id, delete_me_time)
          select id, ${box.key_id}, ${inMs(server, -1000)}::timestamp from unnest(${ids}::uuid[]) as id`;
      },
    },
  ];

  test.each(MANY)("P10: 2,500 rows of $table go in three steps of at most 1,000", async ({ table, job, fill }) => {
    await runJob(server, job);
    await fill();
    const deletes = await noteDeletes(db, table);
    const before = await countRows(db, table);
    expect(await runJob(server, job)).toBe(COUNT);
    expect(await countRows(db, table)).toBe(before - COUNT);
    expect(await deletes.sizes()).toEqual([1000, 1000, 500]);
  });

  test.each(MANY)(
    "P10: two runs at once remove each row of $table once, and neither fails",
    async ({ table, job, fill }) => {
      await runJob(server, job);
      await fill();
      const before = await countRows(db, table);
      const removed = await Promise.all([runJob(server, job), runJob(server, job)]);
      expect(removed[0] + removed[1]).toBe(COUNT);
      expect(await countRows(db, table)).toBe(before - COUNT);
    },
  );
});
