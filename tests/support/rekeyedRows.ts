/** A container with rows of every kind, and what a re-keying must make of it. */
import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import type { ContainerRekey } from "../../src/container/messages.ts";
import type { Executor } from "../../src/db/query.ts";
import type { Box, Device } from "./client.ts";
import { changesSince, type StoredRow } from "./containerRows.ts";
import { boxOf, newUpload, upload } from "./uploadCalls.ts";

/** Two categories and three entries, and a tombstone of each kind. */
export async function newBusyBox(device: Device): Promise<Box> {
  const { container, privateKey } = newUpload();
  const box = boxOf((await upload(device, container)).value, privateKey);
  const { entry_id, category_id } = await device.createEntryAndCategory(box, {
    entry_encrypted_blob: randomBytes(9),
    entry_version_nonce: 1n,
    category_encrypted_blob: randomBytes(9),
    category_version_nonce: 1n,
  });
  await device.deleteEntry(box, entry_id);
  await device.deleteCategory(box, category_id);
  return box;
}

const comparable = ({ encrypted_blob, ...row }: StoredRow) => ({
  ...row,
  blob: Buffer.from(encrypted_blob).toString("hex"),
});

/** Checks that what was live has exactly the new blobs and nonces, and that nothing else changed. */
export async function expectRekeyed(
  db: Executor,
  box: Box,
  rekey: ContainerRekey,
  before: readonly StoredRow[],
): Promise<void> {
  const renewed = new Map(
    [{ id: box.id, ...rekey.container }, ...rekey.categories, ...rekey.entries].map((item) => [item.id, item]),
  );
  const after = new Map((await changesSince(db, box.id, 0n)).map((row) => [row.id, row]));
  expect(after.size).toBe(before.length);
  for (const row of before) {
    const item = renewed.get(row.id);
    const stored = after.get(row.id);
    if (!stored) throw new Error("a row is gone");
    const { encrypted_blob, version_nonce } = item ?? row;
    const sequence = item ? stored.sequence : row.sequence;
    expect(comparable(stored)).toEqual(comparable({ ...row, encrypted_blob, version_nonce, sequence }));
  }
}
