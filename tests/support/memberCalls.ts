/** Leaving a container, its members, and re-keying it. */
import { randomBytes } from "node:crypto";
import { ContainerRekey, MemberKeyId, MemberKeyList } from "../../src/container/messages.ts";
import type { Box, Device } from "./client.ts";

export function leave(device: Device, box: Box) {
  return device.client.call("DELETE", "/api/container/leave", { headers: device.headers(box) });
}

export function listMembers(device: Device, box: Box) {
  return device.client.call("GET", "/api/container/member", { response: MemberKeyList, headers: device.headers(box) });
}

export function removeMember(device: Device, box: Box, key_id: string) {
  return device.client.call("DELETE", "/api/container/member", {
    request: [MemberKeyId, { value: key_id }],
    headers: device.headers(box),
  });
}

export function putRekey(device: Device, box: Box, rekey: ContainerRekey) {
  return device.client.call("PUT", "/api/container/rekey", {
    request: [ContainerRekey, rekey],
    headers: device.headers(box),
  });
}

/** A re-keying of all that the device sees in the container now: fresh blobs, and fresh nonces unless one is given. */
export async function rekeyOf(
  device: Device,
  box: Box,
  version_nonce: () => bigint = () => randomBytes(8).readBigInt64LE(),
): Promise<ContainerRekey> {
  const container = await device.read(box);
  const renewed = (row: { version_nonce: bigint }) => ({
    encrypted_blob: randomBytes(25),
    version_nonce: version_nonce(),
    expected_previous_version_nonce: row.version_nonce,
  });
  const items = (rows: readonly { id: string; version_nonce: bigint; deleted_at?: bigint }[]) =>
    rows.filter(({ deleted_at }) => deleted_at === undefined).map((row) => ({ id: row.id, ...renewed(row) }));
  return {
    container: renewed(container),
    categories: items(container.categories),
    entries: items(container.entries),
  };
}
