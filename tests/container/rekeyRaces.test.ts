/** C9: a re-keying and other changes at the same time: one or the other, never a mixture. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  category as categoryQueries,
  container as containerQueries,
  entry as entryQueries,
} from "../../src/db/queries.ts";
import type { Executor } from "../../src/db/query.ts";
import type { Answer, Device } from "../support/client.ts";
import {
  anyDevice,
  expectError,
  postCategory,
  postEntry,
  postEntryAndCategory,
  putCategory,
  putContainer,
  putEntry,
} from "../support/containerCalls.ts";
import { changesSince, expectHeadIsExact, type StoredRow } from "../support/containerRows.ts";
import { createTestDatabase } from "../support/database.ts";
import { putRekey, rekeyOf } from "../support/memberCalls.ts";
import { overtake, seededRandom } from "../support/races.ts";
import { expectRekeyed, newBusyBox } from "../support/rekeyedRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { boxOf, newCategory, newEntry, newUpload, upload } from "../support/uploadCalls.ts";
import { newWriteTarget, type WriteTarget } from "../support/writes.ts";

let server: TestServer;
/** A second process on the same database. */
let sibling: TestServer;
let device: Device;
let other: Device;
beforeAll(async () => {
  const database = await createTestDatabase();
  server = await startTestServer({}, database);
  sibling = await startTestServer({}, database);
  device = anyDevice(server);
  other = anyDevice(sibling, "json");
});
afterAll(async () => {
  await sibling.stop();
  await server.stop();
});

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

type Change = (target: WriteTarget) => (transaction: Executor) => Promise<unknown>;

/** What another request may have committed while a re-keying waited, and what that makes of the re-keying. */
const OVERTAKING: [string, "INVALID_STATE" | "OUT_OF_DATE", Change][] = [
  [
    "a new entry",
    "INVALID_STATE",
    ({ box, category_id }) =>
      (transaction) =>
        entryQueries.create(transaction, {
          key_id: box.key_id,
          container_id: box.id,
          entry_id: Bun.randomUUIDv7(),
          encrypted_blob: randomBytes(5),
          version_nonce: 1n,
          category_id,
          modified_timestamp: 1n,
          entries_max: 100,
        }),
  ],
  [
    "a new category",
    "INVALID_STATE",
    ({ box }) =>
      (transaction) =>
        categoryQueries.create(transaction, {
          key_id: box.key_id,
          container_id: box.id,
          category_id: Bun.randomUUIDv7(),
          encrypted_blob: randomBytes(5),
          version_nonce: 1n,
          modified_timestamp: 1n,
          categories_max: 100,
        }),
  ],
  [
    "the delete of an entry",
    "INVALID_STATE",
    ({ box, entry_id }) =>
      (transaction) =>
        entryQueries.soft_delete(transaction, {
          key_id: box.key_id,
          container_id: box.id,
          entry_id,
          version_nonce: 9n,
        }),
  ],
  [
    "the delete of a category",
    "INVALID_STATE",
    ({ box, category_id }) =>
      (transaction) =>
        categoryQueries.soft_delete(transaction, {
          key_id: box.key_id,
          container_id: box.id,
          category_id,
          version_nonce: 9n,
        }),
  ],
  [
    "an edit of an entry",
    "OUT_OF_DATE",
    ({ box, entry_id }) =>
      (transaction) =>
        entryQueries.replace(transaction, {
          key_id: box.key_id,
          container_id: box.id,
          entry_id,
          encrypted_blob: randomBytes(5),
          version_nonce: 9n,
          expected_previous_version_nonce: 1n,
          entries_max: 100,
        }),
  ],
  [
    "an edit of the container",
    "OUT_OF_DATE",
    ({ box }) =>
      (transaction) =>
        containerQueries.replace(transaction, {
          key_id: box.key_id,
          container_id: box.id,
          encrypted_blob: randomBytes(5),
          version_nonce: 9n,
          expected_previous_version_nonce: 1n,
        }),
  ],
];

describe("C9: races", () => {
  test.each(OVERTAKING)(
    "%s while a re-keying waits makes it %s, and nothing of it is stored",
    async (_what, type, change) => {
      const target = await newWriteTarget(device);
      const rekey = await rekeyOf(device, target.box);
      let committed: StoredRow[] = [];
      const answer = await overtake(
        server.db,
        target.box.id,
        () => putRekey(other, target.box, rekey),
        async (transaction) => {
          await change(target)(transaction);
          committed = await changesSince(transaction, target.box.id, 0n);
        },
      );
      expectError(answer, type);
      expect(await changesSince(server.db, target.box.id, 0n)).toEqual(committed);
      await expectHeadIsExact(server.db, target.box.id);
    },
  );

  test("of ten re-keyings at once from two processes exactly one is 200, and all rows are that one's; 8 rounds", async () => {
    for (let round = 0; round < 8; round++) {
      const box = await newBusyBox(device);
      const before = await changesSince(server.db, box.id, 0n);
      const rekeys = await Promise.all(times(10, () => rekeyOf(device, box)));
      const answers = await Promise.all(rekeys.map((rekey, index) => putRekey(index % 2 ? device : other, box, rekey)));
      const winners = rekeys.filter((_, index) => answers[index]?.status === 200);
      expect(winners).toHaveLength(1);
      for (const answer of answers) if (answer.status !== 200) expectError(answer, "OUT_OF_DATE");
      for (const winner of winners) await expectRekeyed(server.db, box, winner, before);
      await expectHeadIsExact(server.db, box.id);
    }
  });

  /** The first byte of a blob tells which of the requests wrote it. */
  const [OLD, REKEYED, EDITED] = [1, 2, 3];
  const blobOf = (writer: number | undefined) => Buffer.from([writer ?? 0, ...randomBytes(10)]);

  /** Something that another member does at the same time. */
  async function disturb(
    by: Device,
    { box, entry_id, category_id }: WriteTarget,
    kind: number,
  ): Promise<Answer<unknown>> {
    const edit = { encrypted_blob: blobOf(EDITED), version_nonce: 77n };
    if (kind === 0) return putEntry(by, box, entry_id, edit);
    if (kind === 1) return postEntry(by, box, edit);
    if (kind === 2) return by.deleteEntry(box, entry_id);
    if (kind === 3) return by.deleteCategory(box, category_id);
    if (kind === 4) return postCategory(by, box, { value: blobOf(EDITED) });
    if (kind === 5) return putCategory(by, box, category_id, edit);
    if (kind === 6)
      return postEntryAndCategory(by, box, {
        entry_encrypted_blob: blobOf(EDITED),
        category_encrypted_blob: blobOf(EDITED),
      });
    return putContainer(by, box, edit);
  }

  test("a re-keying among edits, creates and deletes is whole or not there at all; 60 seeded rounds", async () => {
    const wins = { rekey: 0, other: 0 };
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const old = { encrypted_blob: blobOf(OLD), version_nonce: 1n };
      const { container, privateKey } = newUpload({
        ...old,
        categories: times(3, (index) => newCategory(index, old)),
        entries: times(20, (index) => newEntry(index, { ...old, category_temp_id: index % 3 })),
      });
      const frame = (await upload(device, container)).value;
      const box = boxOf(frame, privateKey);
      const rekey = await rekeyOf(device, box);
      for (const item of [rekey.container, ...rekey.categories, ...rekey.entries])
        item.encrypted_blob = blobOf(REKEYED);
      const rowOf = (rows: readonly { real_id: string }[] = []) =>
        rows[Math.floor(random() * rows.length)]?.real_id ?? "";

      const disturbances = times(1 + Math.floor(random() * 3), (index) => {
        const target = { box, entry_id: rowOf(frame?.entry_ids), category_id: rowOf(frame?.category_ids) };
        const kind = Math.floor(random() * 8);
        return Bun.sleep(random() * 4).then(() => disturb(index % 2 ? device : other, target, kind));
      });
      const [rekeyed, ...answers] = await Promise.all([
        Bun.sleep(random() * 4).then(() => putRekey(other, box, rekey)),
        ...disturbances,
      ]);
      expect([rekeyed, ...answers].filter(({ status }) => status >= 500)).toEqual([]);

      const rows = await changesSince(server.db, box.id, 0n);
      const writers = rows.filter(({ deleted_at }) => deleted_at === null).map((row) => row.encrypted_blob[0]);
      if (rekeyed.status === 200) {
        wins.rekey++;
        // What was there is re-keyed; only what came after it, or was deleted after it, is not.
        expect(writers).not.toContain(OLD);
      } else {
        wins.other++;
        expect(["INVALID_STATE", "OUT_OF_DATE"]).toContain(rekeyed.error?.err_type ?? "");
        expect(writers).not.toContain(REKEYED);
      }
      await expectHeadIsExact(server.db, box.id);
    }
    expect(wins.rekey).toBeGreaterThan(3);
    expect(wins.other).toBeGreaterThan(3);
  });
});
