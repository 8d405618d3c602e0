/** What the sync tests compare and what only SQL can do to a container. */
import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Db } from "../../src/db/query.ts";
import type { Box, Device } from "../support/client.ts";
import { putContainer } from "../support/containerCalls.ts";
import type { LocalCopy } from "../support/syncClient.ts";

/** Of a tombstone that a purge takes, with the default of 365 days. */
export const OLD_DAYS = 400;

/** A copy must be, to the byte and the microsecond, what a fetch of the whole container shows. */
export async function expectSameAsFetched(copy: LocalCopy, device: Device, box: Box): Promise<void> {
  const { id, categories, entries, ...own } = await device.read(box);
  expect(id).toBe(box.id);
  expect(copy.container).toEqual(own);
  expect(byId(copy.categories.values())).toEqual(categories.filter(isLive));
  expect(byId(copy.entries.values())).toEqual(entries.filter(isLive));
}

function isLive(row: { deleted_at?: bigint }): boolean {
  return row.deleted_at === undefined;
}

function byId<Row extends { id: string }>(rows: Iterable<Row>): Row[] {
  return [...rows].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Makes tombstones look old enough for a purge: those whose number is a multiple of `every`. */
export async function ageTombstones(db: Db, { id }: Box, every = 1): Promise<void> {
  await db.begin(async (transaction) => {
    await transaction`select from container_heads where container_id = ${id} for update`;
    for (const table of ["categories", "entries"]) {
      await transaction.unsafe(
        `update ${table} set deleted_at = deleted_at - interval '${OLD_DAYS} days'
         where container_id = '${id}' and deleted_at > now() - interval '1 day' and sequence % ${every} = 0`,
      );
    }
  });
}

/** As an operator's tool would soft-delete a container, with a sequence number: no route does (containers.md 3.2). */
export async function softDeleteContainer(db: Db, { id }: Box): Promise<void> {
  await db`
    with numbered as (
      update container_heads set last_sequence = last_sequence + 1 where container_id = ${id} returning last_sequence
    )
    update containers set encrypted_blob = '', deleted_at = timezone('utc', now()), sequence = last_sequence
    from numbered where id = ${id} and deleted_at is null`;
}

/** Edits a container whose newest nonce is read first, which revives it. */
export async function editContainer(device: Device, box: Box): Promise<void> {
  const { version_nonce } = await device.read(box);
  const nonces = { version_nonce: version_nonce + 1n, expected_previous_version_nonce: version_nonce };
  const answer = await putContainer(device, box, { ...nonces, encrypted_blob: randomBytes(20) });
  expect(answer.status).toBe(200);
}

/** Stores entries without the server, as many as wanted, numbered after what is there. @param bytes of each blob */
export async function storeEntries(db: Db, { id }: Box, count: number, bytes = 20): Promise<void> {
  await db`
    with numbered as (
      update container_heads set last_sequence = last_sequence + ${count} where container_id = ${id}
      returning last_sequence - ${count}::bigint as base
    )
    insert into entries (id, container_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
    select gen_random_uuid(), ${id}, decode(repeat('a5', ${bytes}), 'hex'), 1, timezone('utc', now()), base + number
    from numbered, generate_series(1, ${count}::integer) as number`;
}
