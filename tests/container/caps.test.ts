/** C11: how many live rows a container may hold. Tombstones do not count. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { CategoryWithTempId } from "../../src/container/messages.ts";
import type { Answer, Box, Device } from "../support/client.ts";
import {
  anyDevice,
  categoryOf,
  ENCODINGS,
  entryOf,
  expectEmptyOk,
  expectError,
  postCategory,
  postContainer,
  postEntry,
  postEntryAndCategory,
  putCategory,
  putEntry,
} from "../support/containerCalls.ts";
import { expectHeadIsExact, expectUnchanged, headOf } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const ENTRIES_MAX = 5;
const CATEGORIES_MAX = 3;
const CAPS = {
  ENTRIES_MAX_ENTRIES_PER_CONTAINER: String(ENTRIES_MAX),
  ENTRIES_MAX_CATEGORIES_PER_CONTAINER: String(CATEGORIES_MAX),
};

let server: TestServer;
/** A second process on the same database. */
let sibling: TestServer;
beforeAll(async () => {
  server = await startTestServer(CAPS);
  sibling = await startTestServer(CAPS, server.database);
});
afterAll(async () => {
  await sibling.stop();
  await server.stop();
});

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

const category = (temp_id: number): CategoryWithTempId => ({
  temp_id,
  encrypted_blob: randomBytes(5),
  version_nonce: 1n,
});

/** The answers of requests that run at the same time, in two processes. */
function atOnce(count: number, call: (device: Device) => Promise<Answer<unknown>>): Promise<Answer<unknown>[]> {
  const devices = [anyDevice(server), anyDevice(sibling)] as const;
  return Promise.all(times(count, (index) => call(devices[index % 2 === 0 ? 0 : 1])));
}

function expectExactly(answers: Answer<unknown>[], status: number, count: number): void {
  expect(answers.filter((answer) => answer.status === status)).toHaveLength(count);
  for (const answer of answers) if (answer.status !== status) expectError(answer, "TOO_MANY_REQUESTED");
}

describe.each(ENCODINGS)("C11: one after the other, in %s", (encoding) => {
  const device = () => anyDevice(server, encoding);

  test("the last entry that fits is 201, the next is TOO_MANY_REQUESTED and changes nothing", async () => {
    const box = await device().createContainer();
    for (let index = 0; index < ENTRIES_MAX; index++) await device().createEntry(box);
    await expectUnchanged(server.db, async () => {
      expectError(await postEntry(device(), box), "TOO_MANY_REQUESTED");
      expectError(await postEntryAndCategory(device(), box), "TOO_MANY_REQUESTED");
    });
    expect((await postCategory(device(), box)).status).toBe(201);
  });

  test("the last category that fits is 201, the next is TOO_MANY_REQUESTED and changes nothing", async () => {
    const box = await device().createContainer();
    for (let index = 0; index < CATEGORIES_MAX; index++) await device().createCategory(box);
    await expectUnchanged(server.db, async () => {
      expectError(await postCategory(device(), box), "TOO_MANY_REQUESTED");
      expectError(await postEntryAndCategory(device(), box), "TOO_MANY_REQUESTED");
    });
    expect((await postEntry(device(), box)).status).toBe(201);
  });

  test("a new container may come with as many categories as fit, not with one more; they count", async () => {
    const box = await device().createContainer({ categories: times(CATEGORIES_MAX, category) });
    expectError(await postCategory(device(), box), "TOO_MANY_REQUESTED");
    const tooMany = { categories: times(CATEGORIES_MAX + 1, category) };
    await expectUnchanged(server.db, async () =>
      expectError(await postContainer(device(), tooMany), "TOO_MANY_REQUESTED"),
    );
  });

  test("a delete makes room for one, however often it is repeated", async () => {
    const box = await device().createContainer({ categories: times(CATEGORIES_MAX, category) });
    const ids = await Promise.all(times(ENTRIES_MAX, () => device().createEntry(box)));
    for (let index = 0; index < 3; index++) {
      await device().deleteEntry(box, ids[0] ?? "");
      await device().deleteCategory(box, box.category_ids[0] ?? "");
    }
    expect((await postEntryAndCategory(device(), box)).status).toBe(201);
    expectError(await postEntry(device(), box), "TOO_MANY_REQUESTED");
    expectError(await postCategory(device(), box), "TOO_MANY_REQUESTED");
    await expectHeadIsExact(server.db, box.id);
  });

  test("reviving obeys the cap; a full container's live rows can still be edited", async () => {
    const box = await device().createContainer({ categories: times(CATEGORIES_MAX, category) });
    const ids = await Promise.all(times(ENTRIES_MAX, () => device().createEntry(box)));
    const [dead = "", live = ""] = ids;
    const [deadCategory = "", liveCategory = ""] = box.category_ids;
    await device().deleteEntry(box, dead);
    await device().deleteCategory(box, deadCategory);
    const stored = await device().read(box);
    const entryNonce = { expected_previous_version_nonce: entryOf(stored, dead).version_nonce };
    const categoryNonce = { expected_previous_version_nonce: categoryOf(stored, deadCategory).version_nonce };
    const filler = (await postEntryAndCategory(device(), box)).value;

    await expectUnchanged(server.db, async () => {
      expectError(await putEntry(device(), box, dead, entryNonce), "TOO_MANY_REQUESTED");
      expectError(await putCategory(device(), box, deadCategory, categoryNonce), "TOO_MANY_REQUESTED");
      // A stale nonce is the first reason.
      expectError(await putEntry(device(), box, dead), "OUT_OF_DATE");
      expectError(await putCategory(device(), box, deadCategory), "OUT_OF_DATE");
    });
    expectEmptyOk(await putEntry(device(), box, live));
    expectEmptyOk(await putCategory(device(), box, liveCategory));

    await device().deleteEntry(box, filler?.entry_id ?? "");
    await device().deleteCategory(box, filler?.category_id ?? "");
    expectEmptyOk(await putEntry(device(), box, dead, entryNonce));
    expectEmptyOk(await putCategory(device(), box, deadCategory, categoryNonce));
    expect(await headOf(server.db, box.id)).toMatchObject({
      live_entries: ENTRIES_MAX,
      live_categories: CATEGORIES_MAX,
    });
  });

  test("each container has room of its own", async () => {
    const full = await device().createContainer({ categories: times(CATEGORIES_MAX, category) });
    const box = await device().createContainer();
    expectError(await postCategory(device(), full), "TOO_MANY_REQUESTED");
    expect((await postCategory(device(), box)).status).toBe(201);
  });
});

describe("C11: at the same time, from two processes", () => {
  async function full(box: Box): Promise<void> {
    expect(await headOf(server.db, box.id)).toMatchObject({ live_entries: ENTRIES_MAX });
    await expectHeadIsExact(server.db, box.id);
  }

  test("of 30 entries exactly as many as fit are made", async () => {
    for (let round = 0; round < 5; round++) {
      const box = await anyDevice(server).createContainer();
      expectExactly(await atOnce(30, (device) => postEntry(device, box)), 201, ENTRIES_MAX);
      await full(box);
    }
  });

  test("of 30 categories exactly as many as fit are made", async () => {
    for (let round = 0; round < 5; round++) {
      const box = await anyDevice(server).createContainer();
      expectExactly(await atOnce(30, (device) => postCategory(device, box)), 201, CATEGORIES_MAX);
      expect((await anyDevice(server).read(box)).categories).toHaveLength(CATEGORIES_MAX);
      await expectHeadIsExact(server.db, box.id);
    }
  });

  test("of 30 pairs exactly as many as fit are made, both halves or neither", async () => {
    for (let round = 0; round < 5; round++) {
      const box = await anyDevice(server).createContainer();
      expectExactly(await atOnce(30, (device) => postEntryAndCategory(device, box)), 201, CATEGORIES_MAX);
      const { entries, categories } = await anyDevice(server).read(box);
      expect(entries.map((row) => row.category_id ?? "").sort()).toEqual(categories.map(({ id }) => id));
      await expectHeadIsExact(server.db, box.id);
    }
  });

  test("of 12 tombstones exactly as many as fit are revived", async () => {
    const box = await anyDevice(server).createContainer();
    const dead: { id: string; nonce: bigint }[] = [];
    for (let index = 0; index < 12; index++) {
      const id = await anyDevice(server).createEntry(box);
      await anyDevice(server).deleteEntry(box, id);
      dead.push({ id, nonce: entryOf(await anyDevice(server).read(box), id).version_nonce });
    }
    const answers = await Promise.all(
      dead.map(({ id, nonce }, index) =>
        putEntry(anyDevice(index % 2 ? server : sibling), box, id, { expected_previous_version_nonce: nonce }),
      ),
    );
    expectExactly(answers, 200, ENTRIES_MAX);
    await full(box);
  });

  test("while entries are deleted and made at once, the cap is never passed and no room is lost", async () => {
    for (let round = 0; round < 5; round++) {
      const box = await anyDevice(server).createContainer();
      const ids = await Promise.all(times(ENTRIES_MAX, () => anyDevice(server).createEntry(box)));
      const deletes = ids.slice(0, 3).flatMap((id) => [id, id]);
      const [made] = await Promise.all([
        atOnce(20, (device) => postEntry(device, box)),
        ...deletes.map((id) => anyDevice(sibling).deleteEntry(box, id)),
      ]);
      const created = made.filter(({ status }) => status === 201).length;
      expectExactly(made, 201, created);
      expect(created).toBeLessThanOrEqual(3);
      await atOnce(3 - created, (device) => postEntry(device, box));
      expectError(await postEntry(anyDevice(server), box), "TOO_MANY_REQUESTED");
      await full(box);
    }
  });
});
