/** W5, W6: what happens to changes that overlap in time. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { category as categoryQueries, entry as entryQueries } from "../../src/db/queries.ts";
import type { Answer, Box, Device } from "../support/client.ts";
import {
  anyDevice,
  categoryOf,
  ENCODINGS,
  entryOf,
  expectEmptyOk,
  expectError,
  postEntry,
  putCategory,
  putContainer,
  putEntry,
  speaking,
} from "../support/containerCalls.ts";
import { expectHeadIsExact, sequencesOf } from "../support/containerRows.ts";
import { createTestDatabase } from "../support/database.ts";
import { overtake } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { WRITES } from "../support/writes.ts";

let server: TestServer;
/** A second process on the same database. */
let sibling: TestServer;
let device: Device;
let other: Device;
beforeAll(async () => {
  const database = await createTestDatabase();
  // PostgreSQL looks for deadlocks after a second; who may not change that just waits longer.
  await database.db.unsafe(`alter database ${database.name} set deadlock_timeout = '20ms'`).catch(() => {});
  await database.db.end();
  server = await startTestServer({}, database);
  sibling = await startTestServer({}, database);
  device = anyDevice(server);
  other = speaking("json", anyDevice(sibling), sibling);
});
afterAll(async () => {
  await sibling.stop();
  await server.stop();
});

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** Entries of the container that point at a category that is not live, tombstoned entries included. */
async function danglingEntries(box: Box): Promise<number> {
  const rows = await server.db`
    select from entries
    where container_id = ${box.id} and category_id is not null
      and not exists (select from categories where id = entries.category_id and deleted_at is null)`;
  return rows.count;
}

type Edit = (by: Device, box: Box, id: string, version_nonce: bigint) => Promise<Answer<unknown>>;

describe.each<[string, (box: Box) => Promise<string>, Edit]>([
  [
    "an entry",
    (box) => device.createEntry(box),
    (by, box, id, version_nonce) => putEntry(by, box, id, { version_nonce }),
  ],
  [
    "a category",
    (box) => device.createCategory(box),
    (by, box, id, version_nonce) => putCategory(by, box, id, { version_nonce }),
  ],
  ["a container", async (box) => box.id, (by, box, _id, version_nonce) => putContainer(by, box, { version_nonce })],
])("W5: 20 edits of %s at once with one nonce", (_what, make, edit) => {
  test("exactly one is 200, the others are OUT_OF_DATE, and the one that won is stored; 10 rounds", async () => {
    for (let round = 0; round < 10; round++) {
      const box = await device.createContainer();
      const id = await make(box);
      const before = await sequencesOf(server.db, box.id);
      const answers = await Promise.all(
        times(20, (index) => edit(index % 2 ? device : other, box, id, BigInt(100 + index))),
      );
      const winners = answers.flatMap(({ status }, index) => (status === 200 ? [BigInt(100 + index)] : []));
      expect(winners).toHaveLength(1);
      for (const answer of answers) if (answer.status !== 200) expectError(answer, "OUT_OF_DATE");
      const stored = await device.read(box);
      const row = [stored, ...stored.entries, ...stored.categories].find((candidate) => candidate.id === id);
      expect(row?.version_nonce).toBe(winners[0] ?? 0n);
      expect((await sequencesOf(server.db, box.id)).get(id)).toBeGreaterThan(before.get(id) ?? 0n);
    }
  });
});

describe("W5, W7: an edit that waits behind a delete", () => {
  test("of an entry is OUT_OF_DATE and the tombstone stays", async () => {
    const box = await device.createContainer();
    const id = await device.createEntry(box);
    const access = { key_id: box.key_id, container_id: box.id };
    const answer = await overtake(
      server.db,
      box.id,
      () => putEntry(device, box, id),
      (transaction) => entryQueries.soft_delete(transaction, { ...access, entry_id: id, version_nonce: 77n }),
    );
    expectError(answer, "OUT_OF_DATE");
    expect(entryOf(await device.read(box), id)).toMatchObject({ version_nonce: 77n, deleted_at: expect.anything() });
  });

  test("of a category is OUT_OF_DATE and the tombstone stays", async () => {
    const box = await device.createContainer();
    const category_id = await device.createCategory(box);
    const answer = await overtake(
      server.db,
      box.id,
      () => putCategory(device, box, category_id),
      (transaction) =>
        categoryQueries.soft_delete(transaction, {
          key_id: box.key_id,
          container_id: box.id,
          category_id,
          version_nonce: 77n,
        }),
    );
    expectError(answer, "OUT_OF_DATE");
    expect(categoryOf(await device.read(box), category_id)).toMatchObject({ version_nonce: 77n });
  });
});

describe("W6: a category that is deleted while entries are put into it", () => {
  const tombstone =
    (box: Box, category_id: string) => (transaction: Parameters<typeof categoryQueries.soft_delete>[0]) =>
      categoryQueries.soft_delete(transaction, {
        key_id: box.key_id,
        container_id: box.id,
        category_id,
        version_nonce: 5n,
      });

  test.each(ENCODINGS)("an entry made behind the delete is FOREIGN_KEY_DOES_NOT_EXIST, in %s", async (encoding) => {
    const box = await device.createContainer();
    const category_id = await device.createCategory(box);
    const by = speaking(encoding, device, server);
    const create = () => postEntry(by, box, { category_id });
    expectError(await overtake(server.db, box.id, create, tombstone(box, category_id)), "FOREIGN_KEY_DOES_NOT_EXIST");
    expect((await device.read(box)).entries).toEqual([]);
    await expectHeadIsExact(server.db, box.id);
  });

  test.each(ENCODINGS)(
    "an entry moved behind the delete is FOREIGN_KEY_DOES_NOT_EXIST and stays, in %s",
    async (encoding) => {
      const box = await device.createContainer();
      const [from, category_id] = [await device.createCategory(box), await device.createCategory(box)];
      const id = await device.createEntry(box, { category_id: from });
      const before = entryOf(await device.read(box), id);
      const move = () => putEntry(speaking(encoding, device, server), box, id, { category_id });
      expectError(await overtake(server.db, box.id, move, tombstone(box, category_id)), "FOREIGN_KEY_DOES_NOT_EXIST");
      expect(entryOf(await device.read(box), id)).toEqual(before);
    },
  );

  test("a delete that waits behind a new entry takes the category from it", async () => {
    const box = await device.createContainer();
    const category_id = await device.createCategory(box);
    const moved = await device.createEntry(box);
    const access = { key_id: box.key_id, container_id: box.id };
    const answer = await overtake(
      server.db,
      box.id,
      () => device.deleteCategory(box, category_id),
      async (transaction) => {
        const row = { ...access, category_id, encrypted_blob: Buffer.from("x"), version_nonce: 2n, entries_max: 100 };
        const modified_timestamp = BigInt(Date.now()) * 1000n;
        await entryQueries.create(transaction, { ...row, entry_id: Bun.randomUUIDv7(), modified_timestamp });
        await entryQueries.replace(transaction, { ...row, entry_id: moved, expected_previous_version_nonce: 1n });
      },
    );
    expectEmptyOk(answer);
    const { entries } = await device.read(box);
    expect(entries.map((entry) => entry.category_id)).toEqual([undefined, undefined]);
    expect(await danglingEntries(box)).toBe(0);
  });

  test("no entry points at a tombstone after 40 rounds of creates, moves and a delete at once", async () => {
    const box = await device.createContainer();
    const ids = await Promise.all(times(4, () => device.createEntry(box)));
    for (let round = 0; round < 40; round++) {
      const category_id = await device.createCategory(box);
      const nonces = new Map((await device.read(box)).entries.map((row) => [row.id, row.version_nonce]));
      const move = (id: string, by: Device) =>
        putEntry(by, box, id, {
          category_id,
          expected_previous_version_nonce: nonces.get(id) ?? 0n,
          version_nonce: randomBytes(8).readBigInt64LE(),
        });
      const [deleted, ...answers] = await Promise.all([
        Bun.sleep(round % 5).then(() => other.deleteCategory(box, category_id)),
        ...times(4, (index) => postEntry(index % 2 ? device : other, box, { category_id })),
        ...ids.map((id, index) => move(id, index % 2 ? device : other)),
      ]);
      expectEmptyOk(deleted);
      for (const answer of answers) if (answer.status >= 300) expectError(answer, "FOREIGN_KEY_DOES_NOT_EXIST");
      expect(await danglingEntries(box)).toBe(0);
    }
    await expectHeadIsExact(server.db, box.id);
  });
});

describe("W6: a container that is deleted while requests write", () => {
  test.each(WRITES)("%s that waits behind the delete is CONTAINER_DOES_NOT_EXIST", async (_route, write) => {
    const box = await device.createContainer();
    const [entry_id, category_id] = [await device.createEntry(box), await device.createCategory(box)];
    const answer = await overtake(
      server.db,
      box.id,
      () => write(device, { box, entry_id, category_id }),
      (transaction) => transaction`delete from containers where id = ${box.id}`,
    );
    expectError(answer, "CONTAINER_DOES_NOT_EXIST");
  });

  /** Deletes as an operator might by hand, without taking the lock first; repeated when PostgreSQL breaks a deadlock. */
  async function deleteByHand(box: Box): Promise<void> {
    for (;;) {
      try {
        await sibling.db`delete from containers where id = ${box.id}`;
        return;
      } catch (error) {
        if (!(error instanceof Error) || !("code" in error) || error.code !== "40P01") throw error;
      }
    }
  }

  test("a delete by hand, which locks in another order, leads to no 5xx either; 6 rounds", async () => {
    for (let round = 0; round < 6; round++) {
      const box = await device.createContainer();
      const category_id = await device.createCategory(box);
      const ids = await Promise.all(times(6, () => device.createEntry(box, { category_id })));
      let isGone = false;
      async function writeUntilGone(by: Device, index: number): Promise<Answer<unknown>[]> {
        const answers: Answer<unknown>[] = [];
        for (let turn = index; !isGone; turn++) {
          const [, write] = WRITES[turn % WRITES.length] ?? [];
          const answer = await write?.(by, { box, entry_id: ids[turn % ids.length] ?? "", category_id });
          if (!answer) throw new Error("no such write");
          answers.push(answer);
          if (answer.error?.err_type === "CONTAINER_DOES_NOT_EXIST") break;
        }
        return answers;
      }
      const writers = times(8, (index) => writeUntilGone(index % 2 ? device : other, index));
      await Bun.sleep(round * 3);
      await deleteByHand(box);
      const answers = (await Promise.all(writers)).flat();
      isGone = true;
      expect(answers.filter(({ status }) => status >= 500).map(({ status, error }) => ({ status, error }))).toEqual([]);
      expectError(await putContainer(device, box), "CONTAINER_DOES_NOT_EXIST");
    }
  });
});
