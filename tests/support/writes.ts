/** Every request that changes something inside a container, for tests that hold of all of them. */
import { randomBytes } from "node:crypto";
import type { Answer, Box, Device } from "./client.ts";
import {
  postCategory,
  postEntry,
  postEntryAndCategory,
  putCategory,
  putContainer,
  putEntry,
} from "./containerCalls.ts";
import { putRekey } from "./memberCalls.ts";

/** A container that holds one entry and one category; these and the container itself have nonce 1. */
export interface WriteTarget {
  box: Box;
  entry_id: string;
  category_id: string;
}

export async function newWriteTarget(device: Device): Promise<WriteTarget> {
  const box = await device.createContainer();
  return { box, entry_id: await device.createEntry(box), category_id: await device.createCategory(box) };
}

type Write = (device: Device, target: WriteTarget) => Promise<Answer<unknown>>;

const renewed = () => ({ encrypted_blob: randomBytes(20), version_nonce: 2n, expected_previous_version_nonce: 1n });

/** By the name of the route. Each succeeds on a new target. */
export const WRITES: readonly (readonly [route: string, write: Write])[] = [
  ["PUT /api/container", (device, { box }) => putContainer(device, box)],
  ["POST /api/container/entry", (device, { box, category_id }) => postEntry(device, box, { category_id })],
  [
    "PUT /api/container/entry",
    (device, { box, entry_id, category_id }) => putEntry(device, box, entry_id, { category_id }),
  ],
  ["DELETE /api/container/entry", (device, { box, entry_id }) => device.deleteEntry(box, entry_id)],
  ["POST /api/container/category", (device, { box }) => postCategory(device, box)],
  ["PUT /api/container/category", (device, { box, category_id }) => putCategory(device, box, category_id)],
  ["DELETE /api/container/category", (device, { box, category_id }) => device.deleteCategory(box, category_id)],
  ["POST /api/container/entry-and-category", (device, { box }) => postEntryAndCategory(device, box)],
  [
    "PUT /api/container/rekey",
    (device, { box, entry_id, category_id }) =>
      putRekey(device, box, {
        container: renewed(),
        categories: [{ id: category_id, ...renewed() }],
        entries: [{ id: entry_id, ...renewed() }],
      }),
  ],
];
