/** Uploads of whole containers (containers.md 4.4): requests that are valid unless the test says otherwise. */
import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import {
  BulkUploadContainer,
  BulkUploadContainerFrame,
  BulkUploadContainerFrameList,
  BulkUploadContainerList,
  type BulkUploadEntry,
  type CategoryWithTempId,
} from "../../src/container/messages.ts";
import { Box, type Device, rawPublicKey } from "./client.ts";

export function newCategory(temp_id: number, overrides: Partial<CategoryWithTempId> = {}): CategoryWithTempId {
  return { temp_id, encrypted_blob: randomBytes(30), version_nonce: 7n, ...overrides };
}

export function newEntry(temp_id: number, overrides: Partial<BulkUploadEntry> = {}): BulkUploadEntry {
  return { temp_id, encrypted_blob: randomBytes(30), version_nonce: 8n, ...overrides };
}

/** A container with two categories and three entries, one of them in no category. */
export function newUpload(overrides: Partial<BulkUploadContainer> = {}) {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const container: BulkUploadContainer = {
    encrypted_blob: randomBytes(60),
    version_nonce: 6n,
    categories: [newCategory(1), newCategory(-5)],
    entries: [newEntry(1, { category_temp_id: -5 }), newEntry(2), newEntry(-3, { category_temp_id: 1 })],
    user_public_container_key: rawPublicKey(publicKey),
    ...overrides,
  };
  return { container, privateKey };
}

export function bulkUpload(device: Device, containers: BulkUploadContainer[]) {
  return device.client.call("POST", "/api/container/bulk-upload", {
    request: [BulkUploadContainerList, { containers }],
    response: BulkUploadContainerFrameList,
    headers: device.headers(),
  });
}

export function upload(device: Device, container: BulkUploadContainer) {
  return device.client.call("POST", "/api/container/upload", {
    request: [BulkUploadContainer, container],
    response: BulkUploadContainerFrame,
    headers: device.headers(),
  });
}

/** The uploaded container with the key that opens it. @throws Error when there is no frame */
export function boxOf(frame: BulkUploadContainerFrame | undefined, privateKey: KeyObject): Box {
  if (!frame) throw new Error("the upload was refused");
  const category_ids = frame.category_ids.map(({ real_id }) => real_id);
  return new Box(frame.id, frame.access_key_id, privateKey, category_ids);
}
