/** POST /api/container/bulk-upload (containers.md 4.4, W15, C11). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { BulkUploadContainer } from "../../src/container/messages.ts";
import { userIdOf } from "../support/accounts.ts";
import type { Device } from "../support/client.ts";
import { anyDevice, ENCODINGS, expectError, INT64_MAX, INT64_MIN, speaking } from "../support/containerCalls.ts";
import { changesSince, expectHeadIsExact, expectUnchanged, headOf } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { boxOf, bulkUpload, newCategory, newEntry, newUpload } from "../support/uploadCalls.ts";

const SMALL = 4 * 1024;
const KEY = 4 * 1024;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

type Account = Awaited<ReturnType<TestServer["signUp"]>>;

async function isUsed({ user }: Account): Promise<boolean | undefined> {
  const [flags] = await server.db<{ used: boolean }[]>`
    select has_performed_bulk_upload as used from user_flags where user_id = ${await userIdOf(server, user)}`;
  return flags?.used;
}

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

const textOf = (blob: Uint8Array) => Buffer.from(blob).toString("latin1");

describe.each(ENCODINGS)("bulk upload in %s", (encoding) => {
  let account: Account;
  let device: Device;
  beforeAll(async () => {
    account = await server.signUp();
    device = speaking(encoding, account, server);
  });

  /** Refused requests, each of which leaves everything as it is, the account's right to upload included. */
  async function expectRefused(type: Parameters<typeof expectError>[1], containers: BulkUploadContainer[]) {
    await expectUnchanged(server.db, async () => expectError(await bulkUpload(device, containers), type));
    expect(await isUsed(account)).toBe(false);
  }
  const oneWith = (overrides: Partial<BulkUploadContainer>) => [newUpload(overrides).container];

  test("4.4: an empty list is INCORRECTLY_FORMED, more than 100 containers are TOO_MANY_REQUESTED", async () => {
    await expectRefused("INCORRECTLY_FORMED", []);
    const { container } = newUpload({ encrypted_blob: randomBytes(SMALL + 1) });
    await expectRefused(
      "TOO_MANY_REQUESTED",
      times(101, () => container),
    );
    await expectRefused(
      "INPUT_TOO_LARGE",
      times(100, () => container),
    );
  });

  test("4.4, 11: each blob or key one byte over its limit is INPUT_TOO_LARGE", async () => {
    const large = { encrypted_blob: randomBytes(SMALL + 1) };
    await expectRefused("INPUT_TOO_LARGE", oneWith(large));
    await expectRefused("INPUT_TOO_LARGE", oneWith({ user_public_container_key: randomBytes(KEY + 1) }));
    await expectRefused(
      "INPUT_TOO_LARGE",
      oneWith({ categories: [newCategory(1), newCategory(2, large)], entries: [] }),
    );
    await expectRefused("INPUT_TOO_LARGE", oneWith({ entries: [newEntry(1), newEntry(2, large)] }));
    await expectRefused("INPUT_TOO_LARGE", [newUpload().container, newUpload(large).container]);
  });

  test("4.4: two categories or two entries of one container with one temp_id are INVALID_STATE", async () => {
    await expectRefused("INVALID_STATE", oneWith({ categories: [newCategory(4), newCategory(5), newCategory(4)] }));
    await expectRefused("INVALID_STATE", oneWith({ entries: [newEntry(4), newEntry(5), newEntry(4)] }));
  });

  test("4.4: a category_temp_id that names no category of the same container is INCORRECTLY_FORMED", async () => {
    await expectRefused("INCORRECTLY_FORMED", oneWith({ entries: [newEntry(1, { category_temp_id: 99 })] }));
    const first = newUpload({ categories: [newCategory(99)], entries: [] }).container;
    const second = newUpload({ categories: [], entries: [newEntry(1, { category_temp_id: 99 })] }).container;
    await expectRefused("INCORRECTLY_FORMED", [first, second]);
  });

  test("W9: a key that is no strict Ed25519 public key is INCORRECTLY_FORMED", async () => {
    for (const user_public_container_key of [randomBytes(31), randomBytes(33), new Uint8Array(0), Buffer.alloc(32)]) {
      await expectRefused("INCORRECTLY_FORMED", oneWith({ user_public_container_key }));
    }
    await expectRefused("INCORRECTLY_FORMED", [
      newUpload().container,
      ...oneWith({ user_public_container_key: Buffer.alloc(32) }),
    ]);
  });

  test("4.4: containers are checked in order, and each in the order of the contract", async () => {
    const large = { encrypted_blob: randomBytes(SMALL + 1) };
    const badKey = { user_public_container_key: Buffer.alloc(32) };
    const twins = [newCategory(1), newCategory(1)];
    const lost = newEntry(1, { category_temp_id: 99 });
    await expectRefused("INPUT_TOO_LARGE", oneWith({ ...badKey, categories: [...twins, newCategory(2, large)] }));
    await expectRefused("INCORRECTLY_FORMED", oneWith({ ...badKey, categories: twins }));
    await expectRefused("INVALID_STATE", oneWith({ categories: twins, entries: [newEntry(2, large)] }));
    await expectRefused("INPUT_TOO_LARGE", oneWith({ entries: [newEntry(1, large), lost] }));
    await expectRefused("INVALID_STATE", oneWith({ entries: [newEntry(1), lost] }));
    await expectRefused("INCORRECTLY_FORMED", oneWith({ entries: [lost, newEntry(2, large)] }));
    await expectRefused("INVALID_STATE", [...oneWith({ categories: twins }), ...oneWith(large)]);
    await expectRefused("INPUT_TOO_LARGE", [...oneWith(large), ...oneWith({ categories: twins })]);
  });

  test("C11: the caps hold for each container of the request: one more is TOO_MANY_REQUESTED", async () => {
    const tight = await startTestServer(
      { ENTRIES_MAX_ENTRIES_PER_CONTAINER: "3", ENTRIES_MAX_CATEGORIES_PER_CONTAINER: "2" },
      server.database,
    );
    const by = speaking(encoding, account, tight);
    const full = () => newUpload().container;
    await expectUnchanged(server.db, async () => {
      const fourEntries = newUpload({ entries: times(4, (index) => newEntry(index)) }).container;
      expectError(await bulkUpload(by, [full(), fourEntries]), "TOO_MANY_REQUESTED");
      const threeCategories = newUpload({ categories: times(3, (index) => newCategory(index)), entries: [] }).container;
      expectError(await bulkUpload(by, [full(), threeCategories]), "TOO_MANY_REQUESTED");
    });
    const other = await tight.signUp();
    expect((await bulkUpload(speaking(encoding, other, tight), [full(), full(), full()])).status).toBe(201);
    await tight.stop();
  });

  test("4.4, 11: two containers are 201, their frames in order; a fetch shows everything as it was sent", async () => {
    const uploads = [
      newUpload(),
      newUpload({
        version_nonce: INT64_MIN,
        categories: [newCategory(2 ** 31 - 1, { version_nonce: INT64_MAX, encrypted_blob: new Uint8Array(0) })],
        entries: [
          newEntry(-(2 ** 31), { version_nonce: INT64_MIN, encrypted_blob: new Uint8Array(0) }),
          newEntry(0, { category_temp_id: 2 ** 31 - 1, encrypted_blob: randomBytes(SMALL) }),
        ],
      }),
    ];
    const answer = await bulkUpload(
      device,
      uploads.map(({ container }) => container),
    );
    expect(answer.status).toBe(201);
    const frames = answer.value?.containers ?? [];
    expect(frames).toHaveLength(2);

    for (const [index, { container, privateKey }] of uploads.entries()) {
      const frame = frames[index];
      const stored = await device.read(boxOf(frame, privateKey));
      expect(textOf(stored.encrypted_blob)).toBe(textOf(container.encrypted_blob));
      expect(stored.version_nonce).toBe(container.version_nonce);
      expect(frame?.category_ids.map(({ temp_id }) => temp_id)).toEqual(container.categories.map((row) => row.temp_id));
      expect(frame?.entry_ids.map(({ temp_id }) => temp_id)).toEqual(container.entries.map((row) => row.temp_id));

      const categoryIds = new Map(frame?.category_ids.map(({ temp_id, real_id }) => [temp_id, real_id]));
      expect(stored.categories.map((row) => [row.id, textOf(row.encrypted_blob), row.version_nonce])).toEqual(
        container.categories.map((row) => [
          categoryIds.get(row.temp_id) ?? "",
          textOf(row.encrypted_blob),
          row.version_nonce,
        ]),
      );
      const categoryOf = (temp_id: number | undefined) =>
        temp_id === undefined ? undefined : categoryIds.get(temp_id);
      expect(frame?.entry_ids.map(({ category_id }) => category_id)).toEqual(
        container.entries.map(({ category_temp_id }) => categoryOf(category_temp_id)),
      );
      expect(
        stored.entries.map((row) => [row.id, row.category_id, textOf(row.encrypted_blob), row.version_nonce]),
      ).toEqual(
        container.entries.map((row, place) => [
          frame?.entry_ids[place]?.real_id ?? "",
          categoryOf(row.category_temp_id),
          textOf(row.encrypted_blob),
          row.version_nonce,
        ]),
      );
    }
    expect(await isUsed(account)).toBe(true);
  });

  test("4.4, 11: a second upload by the same user is USER_DISALLOWED and stores nothing", async () => {
    await expectUnchanged(server.db, async () =>
      expectError(await bulkUpload(device, [newUpload().container]), "USER_DISALLOWED"),
    );
  });

  test("4.4: what is wrong with the request is told before USER_DISALLOWED", async () => {
    expectError(await bulkUpload(device, []), "INCORRECTLY_FORMED");
    expectError(await bulkUpload(device, oneWith({ encrypted_blob: randomBytes(SMALL + 1) })), "INPUT_TOO_LARGE");
  });

  test("4.4: a user without a flags row is USER_DISALLOWED", async () => {
    await expectUnchanged(server.db, async () =>
      expectError(await bulkUpload(anyDevice(server, encoding), [newUpload().container]), "USER_DISALLOWED"),
    );
    const other = await server.signUp();
    await server.db`delete from user_flags where user_id = ${await userIdOf(server, other.user)}`;
    await expectUnchanged(server.db, async () =>
      expectError(await bulkUpload(speaking(encoding, other, server), [newUpload().container]), "USER_DISALLOWED"),
    );
  });

  test("C6, C11: each container is numbered 1 to n and counts its live rows", async () => {
    const uploads = [
      newUpload(),
      newUpload({ categories: [], entries: [] }),
      newUpload({ categories: [], entries: [newEntry(1)] }),
    ];
    const other = speaking(encoding, await server.signUp(), server);
    const { value } = await bulkUpload(
      other,
      uploads.map(({ container }) => container),
    );
    for (const [index, frame] of (value?.containers ?? []).entries()) {
      const ids = [frame.id, ...[...frame.category_ids, ...frame.entry_ids].map(({ real_id }) => real_id)];
      const rows = await changesSince(server.db, frame.id, 0n);
      expect(rows.map(({ id, sequence }) => ({ id, sequence }))).toEqual(
        ids.map((id, place) => ({ id, sequence: BigInt(place + 1) })),
      );
      const { categories, entries } = uploads[index]?.container ?? { categories: [], entries: [] };
      expect(await headOf(server.db, frame.id)).toMatchObject({
        last_sequence: BigInt(ids.length),
        live_categories: categories.length,
        live_entries: entries.length,
      });
      await expectHeadIsExact(server.db, frame.id);
    }
    expect(value?.containers).toHaveLength(3);
  });

  test("W14: ids of version 7 in the request's order, access keys of version 4", async () => {
    const other = speaking(encoding, await server.signUp(), server);
    const { value } = await bulkUpload(
      other,
      times(5, () => newUpload().container),
    );
    const frames = value?.containers ?? [];
    const rowIds = frames.flatMap(({ category_ids, entry_ids }) =>
      [...category_ids, ...entry_ids].map(({ real_id }) => real_id),
    );
    const containerIds = frames.map(({ id }) => id);
    expect(rowIds).toHaveLength(25);
    for (const ids of [rowIds, containerIds]) {
      expect(new Set(ids.map((id) => id[14]))).toEqual(new Set(["7"]));
      expect(ids).toEqual(ids.toSorted());
    }
    expect(frames.map(({ access_key_id }) => access_key_id[14])).toEqual(times(5, () => "4"));
  });

  test("W4, 3.1: the frame carries the stored microseconds, and all rows of a container share that instant", async () => {
    const other = speaking(encoding, await server.signUp(), server);
    server.clock.aheadMs = -86_400_000;
    const { value } = await bulkUpload(other, [newUpload().container]);
    server.clock.aheadMs = 0;
    const [frame] = value?.containers ?? [];
    const rows = await server.db<{ time: bigint; deleted_at: bigint | null }[]>`
      select modified_timestamp as time, deleted_at from containers where id = ${frame?.id ?? ""}
      union all
      select modified_timestamp, deleted_at from categories where container_id = ${frame?.id ?? ""}
      union all
      select modified_timestamp, deleted_at from entries where container_id = ${frame?.id ?? ""}`;
    expect(rows).toHaveLength(6);
    for (const row of rows) expect({ ...row }).toEqual({ time: frame?.modified_timestamp ?? 0n, deleted_at: null });
    expect(Number((frame?.modified_timestamp ?? 0n) / 1000n)).toBeLessThan(Date.now() - 80_000_000);
  });

  test("4.4: containers may reuse temp_ids, and so may categories and entries of one", async () => {
    const other = speaking(encoding, await server.signUp(), server);
    const same = () =>
      newUpload({ categories: [newCategory(1)], entries: [newEntry(1, { category_temp_id: 1 })] }).container;
    const { value } = await bulkUpload(other, [same(), same()]);
    for (const { category_ids, entry_ids } of value?.containers ?? []) {
      expect(entry_ids[0]?.category_id).toBe(category_ids[0]?.real_id ?? "");
    }
    expect(value?.containers).toHaveLength(2);
  });
});
