/** Bulk uploads are stored whole or not at all, once per account, and in any size (containers.md 4.4, W15). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { userIdOf } from "../support/accounts.ts";
import type { Answer } from "../support/client.ts";
import { expectError, speaking } from "../support/containerCalls.ts";
import { expectHeadIsExact, expectUnchanged, headOf } from "../support/containerRows.ts";
import { createTestDatabase } from "../support/database.ts";
import { heldUp } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { type WatchedDatabase, watchStatements } from "../support/statements.ts";
import { boxOf, bulkUpload, newCategory, newEntry, newUpload } from "../support/uploadCalls.ts";

const SMALL = 4 * 1024;

let watch: WatchedDatabase;
let server: TestServer;
/** A second process on the same database. */
let sibling: TestServer;
beforeAll(async () => {
  watch = watchStatements(await createTestDatabase());
  server = await startTestServer({}, watch.database);
  sibling = await startTestServer({}, watch.database);
});
afterAll(async () => {
  await sibling.stop();
  await server.stop();
});

type Account = Awaited<ReturnType<TestServer["signUp"]>>;

async function isUsed({ user }: Account): Promise<boolean | undefined> {
  const [flags] = await server.db<{ used: boolean }[]>`
    select has_performed_bulk_upload as used from user_flags where user_id = ${await userIdOf(server, user)}`;
  return flags?.used;
}

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

const textOf = (blob: Uint8Array) => Buffer.from(blob).toString("latin1");

describe("4.4: the flag and the rows are written together or not at all", () => {
  /** Makes the database refuse one entry, the last of many. */
  async function refusing(blob: Uint8Array, work: () => Promise<void>): Promise<void> {
    await server.db.unsafe(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$;
      create trigger refuse before insert on entries for each row
        when (new.encrypted_blob = '\\x${Buffer.from(blob).toString("hex")}') execute function refuse();`);
    try {
      await work();
    } finally {
      await server.db.unsafe("drop trigger refuse on entries; drop function refuse()");
    }
  }

  test("a failure after thousands of rows stores nothing and leaves the account able to try again", async () => {
    const account = await server.signUp();
    const poison = randomBytes(20);
    const entries = [...times(6000, (index) => newEntry(index)), newEntry(-1, { encrypted_blob: poison })];
    const { container, privateKey } = newUpload({ entries });
    await refusing(poison, () =>
      expectUnchanged(server.db, async () => expectError(await bulkUpload(account, [container]), "INTERNAL_ERROR")),
    );
    expect(await isUsed(account)).toBe(false);
    const { value } = await bulkUpload(account, [container]);
    expect((await account.read(boxOf(value?.containers[0], privateKey))).entries).toHaveLength(6001);
  });

  function expectOneWinner(answers: Answer<unknown>[]): void {
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    for (const answer of answers) if (answer.status !== 201) expectError(answer, "USER_DISALLOWED");
  }

  async function countOfContainers(): Promise<number> {
    return (await server.db`select from containers`).count;
  }

  test("of several at once exactly one is 201 and stored, the others are USER_DISALLOWED, from two processes", async () => {
    for (let round = 0; round < 5; round++) {
      const account = await server.signUp();
      const other = speaking("json", account, sibling);
      const before = await countOfContainers();
      const answers = await Promise.all(
        times(6, (index) => bulkUpload(index % 2 ? account : other, [newUpload().container, newUpload().container])),
      );
      expectOneWinner(answers);
      expect(await countOfContainers()).toBe(before + 2);
    }
  });

  test("two that wait for each other at the flag: the second is USER_DISALLOWED", async () => {
    const account = await server.signUp();
    const user_id = await userIdOf(server, account.user);
    const other = speaking("json", account, sibling);
    const answers = await heldUp(
      server.db,
      (transaction) => transaction`select from user_flags where user_id = ${user_id} for update`,
      [
        () => bulkUpload(account, [newUpload().container]),
        () => bulkUpload(other, [newUpload().container]),
        () => bulkUpload(account, [newUpload().container]),
      ],
    );
    expectOneWinner(answers);
  });

  test("one whose account is deleted meanwhile is USER_DISALLOWED and stores nothing", async () => {
    const account = await server.signUp();
    const user_id = await userIdOf(server, account.user);
    const before = await countOfContainers();
    const [answer] = await heldUp(server.db, (transaction) => transaction`delete from users where id = ${user_id}`, [
      () => bulkUpload(account, [newUpload().container]),
    ]);
    expectError(answer ?? (await bulkUpload(account, [])), "USER_DISALLOWED");
    expect(await countOfContainers()).toBe(before);
  });
});

describe("W15: any size within the body limit", () => {
  test("more than 65,535 values: 16,000 entries and 900 categories in one container, each as it was sent", async () => {
    const account = await server.signUp();
    const categories = times(900, (index) => newCategory(index, { encrypted_blob: Buffer.from(`category ${index}`) }));
    const entries = times(16_000, (index) =>
      newEntry(index, {
        encrypted_blob: Buffer.from(`entry ${index} ${"x".repeat(index % 50)}`),
        version_nonce: BigInt(index),
        ...(index % 10 > 0 && { category_temp_id: index % 900 }),
      }),
    );
    const { container, privateKey } = newUpload({ categories, entries });
    const small = newUpload();
    const { value } = await bulkUpload(account, [container, small.container]);
    const stored = await account.read(boxOf(value?.containers[0], privateKey));
    const ids = value?.containers[0]?.category_ids.map(({ real_id }) => real_id) ?? [];
    expect(stored.categories.map((row) => [row.id, textOf(row.encrypted_blob)])).toEqual(
      ids.map((id, index) => [id, `category ${index}`]),
    );
    expect(stored.entries.map((row) => [textOf(row.encrypted_blob), row.version_nonce, row.category_id])).toEqual(
      entries.map((row) => [
        textOf(row.encrypted_blob),
        row.version_nonce,
        row.category_temp_id === undefined ? undefined : ids[row.category_temp_id],
      ]),
    );
    expect(await headOf(server.db, stored.id)).toMatchObject({ last_sequence: 16_901n });
    await expectHeadIsExact(server.db, stored.id);
    expect((await account.read(boxOf(value?.containers[1], small.privateKey))).entries).toHaveLength(3);
  });

  test("a request of 12 MB with blobs of the largest size is stored in batches, in one transaction", async () => {
    const account = await server.signUp();
    const blob = () => randomBytes(SMALL);
    const uploads = times(30, () =>
      newUpload({
        encrypted_blob: blob(),
        categories: times(10, (index) => newCategory(index, { encrypted_blob: blob() })),
        entries: times(90, (index) => newEntry(index, { encrypted_blob: blob(), category_temp_id: index % 10 })),
      }),
    );
    watch.take();
    const { value } = await bulkUpload(
      account,
      uploads.map(({ container }) => container),
    );
    const statements = watch.take();
    expect([statements[0], statements.at(-1)]).toEqual(["begin", "commit"]);
    expect(statements.filter((text) => text === "begin" || text === "commit")).toHaveLength(2);
    expect(statements.filter((text) => text.includes("insert into entries")).length).toBeGreaterThan(5);
    for (const [index, { container, privateKey }] of uploads.entries()) {
      const stored = await account.read(boxOf(value?.containers[index], privateKey));
      for (const rows of ["categories", "entries"] as const) {
        expect(stored[rows].map((row) => textOf(row.encrypted_blob))).toEqual(
          container[rows].map((row) => textOf(row.encrypted_blob)),
        );
      }
    }
  });

  test("a small one costs six round trips", async () => {
    const account = await server.signUp();
    watch.take();
    await bulkUpload(account, [newUpload().container, newUpload().container]);
    expect(watch.take()).toHaveLength(6);
  });
});
