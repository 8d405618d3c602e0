/** POST /api/container/upload (new-messages.md): one container, at any time; the rules are those of bulk upload. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { userIdOf } from "../support/accounts.ts";
import { Box, type Device } from "../support/client.ts";
import { anyDevice, ENCODINGS, expectEmptyOk, expectError, putEntry, speaking } from "../support/containerCalls.ts";
import { changesSince, expectHeadIsExact, expectUnchanged, headOf } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { boxOf, bulkUpload, newCategory, newEntry, newUpload, upload } from "../support/uploadCalls.ts";

const SMALL = 4 * 1024;
const KEY = 4 * 1024;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

const textOf = (blob: Uint8Array) => Buffer.from(blob).toString("latin1");

describe.each(ENCODINGS)("upload of one container in %s", (encoding) => {
  let device: Device;
  beforeAll(() => {
    device = anyDevice(server, encoding);
  });

  async function expectRefused(type: Parameters<typeof expectError>[1], overrides: Parameters<typeof newUpload>[0]) {
    const { container } = newUpload(overrides);
    await expectUnchanged(server.db, async () => expectError(await upload(device, container), type));
  }

  test("is 201 with the container's frame; a fetch shows everything as it was sent", async () => {
    const { container, privateKey } = newUpload();
    const { status, value: frame } = await upload(device, container);
    expect(status).toBe(201);
    expect(frame?.category_ids.map(({ temp_id }) => temp_id)).toEqual([1, -5]);
    expect(frame?.entry_ids.map(({ temp_id }) => temp_id)).toEqual([1, 2, -3]);
    const [first, second] = frame?.category_ids.map(({ real_id }) => real_id) ?? [];
    expect(frame?.entry_ids.map(({ category_id }) => category_id)).toEqual([second, undefined, first]);

    const stored = await device.read(boxOf(frame, privateKey));
    expect(textOf(stored.encrypted_blob)).toBe(textOf(container.encrypted_blob));
    expect(stored.modified_timestamp).toBe(frame?.modified_timestamp ?? 0n);
    expect(stored.categories.map((row) => textOf(row.encrypted_blob))).toEqual(
      container.categories.map((row) => textOf(row.encrypted_blob)),
    );
    expect(stored.entries.map((row) => [row.id, row.category_id, textOf(row.encrypted_blob)])).toEqual(
      container.entries.map((row, index) => [
        frame?.entry_ids[index]?.real_id ?? "",
        frame?.entry_ids[index]?.category_id,
        textOf(row.encrypted_blob),
      ]),
    );
  });

  test("is possible any number of times, before and after a bulk upload, which it does not use up", async () => {
    const account = await server.signUp();
    const by = speaking(encoding, account, server);
    const { container } = newUpload();
    expect((await upload(by, container)).status).toBe(201);
    expect((await bulkUpload(by, [container])).status).toBe(201);
    const [first, second] = [await upload(by, container), await upload(by, container)];
    expect(second.status).toBe(201);
    expect(second.value?.id).not.toBe(first.value?.id ?? "");
    const [flags] = await server.db`
      select has_performed_bulk_upload as used from user_flags where user_id = ${await userIdOf(server, account.user)}`;
    expect(flags?.used).toBe(true);
  });

  test("without categories and entries is as good as a new container", async () => {
    const { container, privateKey } = newUpload({ categories: [], entries: [] });
    const { value: frame } = await upload(device, container);
    const box = boxOf(frame, privateKey);
    expect(await device.read(box)).toMatchObject({ categories: [], entries: [] });
    expect(await headOf(server.db, box.id)).toMatchObject({ last_sequence: 1n, live_entries: 0, live_categories: 0 });
  });

  test("C6, C11: numbers its rows 1 to n and counts the live ones; edits go on from there", async () => {
    const { container, privateKey } = newUpload();
    const { value: frame } = await upload(device, container);
    const box = boxOf(frame, privateKey);
    const rows = await changesSince(server.db, box.id, 0n);
    const ids = [...(frame?.category_ids ?? []), ...(frame?.entry_ids ?? [])].map(({ real_id }) => real_id);
    expect(rows.map(({ id, sequence }) => ({ id, sequence }))).toEqual(
      [box.id, ...ids].map((id, place) => ({ id, sequence: BigInt(place + 1) })),
    );
    expect(await headOf(server.db, box.id)).toMatchObject({ last_sequence: 6n, live_entries: 3, live_categories: 2 });
    expectEmptyOk(await putEntry(device, box, ids[2] ?? "", { expected_previous_version_nonce: 8n }));
    expect((await changesSince(server.db, box.id, 6n)).map(({ id, sequence }) => ({ id, sequence }))).toEqual([
      { id: ids[2] ?? "", sequence: 7n },
    ]);
    await expectHeadIsExact(server.db, box.id);
  });

  test("4.4: blobs and key over their limits are INPUT_TOO_LARGE, exactly the limit is stored", async () => {
    const large = { encrypted_blob: randomBytes(SMALL + 1) };
    await expectRefused("INPUT_TOO_LARGE", large);
    await expectRefused("INPUT_TOO_LARGE", { user_public_container_key: randomBytes(KEY + 1) });
    await expectRefused("INPUT_TOO_LARGE", { categories: [newCategory(1, large)], entries: [] });
    await expectRefused("INPUT_TOO_LARGE", { entries: [newEntry(1, large)] });
    const full = { encrypted_blob: randomBytes(SMALL) };
    const { container } = newUpload({ ...full, categories: [newCategory(1, full)], entries: [newEntry(1, full)] });
    expect((await upload(device, container)).status).toBe(201);
  });

  test("4.4: twin temp_ids are INVALID_STATE, an unknown category and a bad key (W9) INCORRECTLY_FORMED", async () => {
    await expectRefused("INVALID_STATE", { categories: [newCategory(1), newCategory(1)], entries: [] });
    await expectRefused("INVALID_STATE", { entries: [newEntry(1), newEntry(1)] });
    await expectRefused("INCORRECTLY_FORMED", { entries: [newEntry(1, { category_temp_id: 3 })] });
    await expectRefused("INCORRECTLY_FORMED", { user_public_container_key: Buffer.alloc(32) });
  });

  test("C11: as many rows as the caps allow are 201, one more is TOO_MANY_REQUESTED; they count from then on", async () => {
    const tight = await startTestServer(
      { ENTRIES_MAX_ENTRIES_PER_CONTAINER: "3", ENTRIES_MAX_CATEGORIES_PER_CONTAINER: "2" },
      server.database,
    );
    const by = anyDevice(tight, encoding);
    const entries = times(4, (index) => newEntry(index));
    const categories = times(3, (index) => newCategory(index));
    await expectUnchanged(server.db, async () => {
      expectError(await upload(by, newUpload({ entries }).container), "TOO_MANY_REQUESTED");
      expectError(await upload(by, newUpload({ categories, entries: [] }).container), "TOO_MANY_REQUESTED");
    });
    const { container, privateKey } = newUpload();
    const box = boxOf((await upload(by, container)).value, privateKey);
    const [dead = ""] = (await by.read(box)).entries.map(({ id }) => id);
    expect(await headOf(server.db, box.id)).toMatchObject({ live_entries: 3, live_categories: 2 });
    expectEmptyOk(await by.deleteEntry(box, dead));
    await by.createEntry(box);
    await expectHeadIsExact(server.db, box.id);
    await tight.stop();
  });

  test("new-messages.md: duplicates a budget: what was read can be uploaded as another container", async () => {
    const { container, privateKey } = newUpload();
    const original = await device.read(boxOf((await upload(device, container)).value, privateKey));
    const places = new Map(original.categories.map(({ id }, index) => [id, index]));
    const copy = newUpload({
      encrypted_blob: original.encrypted_blob,
      categories: original.categories.map((row, index) => newCategory(index, { encrypted_blob: row.encrypted_blob })),
      entries: original.entries.map((row, index) => {
        const category_temp_id = places.get(row.category_id ?? "");
        return newEntry(index, {
          encrypted_blob: row.encrypted_blob,
          ...(category_temp_id !== undefined && { category_temp_id }),
        });
      }),
    });
    const frame = (await upload(device, copy.container)).value;
    const stored = await device.read(boxOf(frame, copy.privateKey));
    expect(stored.id).not.toBe(original.id);
    const shape = ({ categories, entries }: typeof stored) => ({
      categories: categories.map((row) => textOf(row.encrypted_blob)),
      entries: entries.map((row) => [
        textOf(row.encrypted_blob),
        categories.findIndex(({ id }) => id === row.category_id),
      ]),
    });
    expect(shape(stored)).toEqual(shape(original));
  });
});

test("3: the uploaded container belongs to nobody: its key alone opens it", async () => {
  const { container, privateKey } = newUpload();
  const frame = (await upload(anyDevice(server), container)).value;
  const stranger = new Box(frame?.id ?? "", frame?.access_key_id ?? "", newUpload().privateKey);
  expectError(await anyDevice(server).fetch([stranger.token()]), "INCORRECT_CREDENTIAL");
  expect((await anyDevice(server).read(boxOf(frame, privateKey))).entries).toHaveLength(3);
});
