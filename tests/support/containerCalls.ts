/**
 * Calls of the container routes that may be refused, and rows of a container that only SQL can make or show.
 * Every call has a valid body unless the test says otherwise.
 */
import { expect } from "bun:test";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { CategoryId } from "../../src/category/messages.ts";
import {
  ContainerFrame,
  ContainerList,
  NewContainer,
  NewEncryptedBlob,
  type Container as WholeContainer,
} from "../../src/container/messages.ts";
import type { Db, Executor } from "../../src/db/query.ts";
import {
  EncryptedBlobAndCategoryId,
  EntryAndCategory,
  EntryId,
  EntryIdAndCategoryId,
} from "../../src/entry/messages.ts";
import { ERRORS, type ErrorType } from "../../src/errors.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { type Answer, Box, Device, rawPublicKey } from "./client.ts";
import type { TestServer } from "./server.ts";

export const ENCODINGS: readonly Encoding[] = ["protobuf", "json"];
export const INT64_MIN = -(2n ** 63n);
export const INT64_MAX = 2n ** 63n - 1n;

/** The same signed-in device, speaking the other encoding. */
export function speaking(encoding: Encoding, device: Device, server: TestServer): Device {
  return new Device(server.client(encoding), device.accessToken, device.refreshToken);
}

/** A device whose access token the server made without an account: enough for containers, and quick. */
export function anyDevice(server: TestServer, encoding: Encoding = "protobuf"): Device {
  const expirationSecs = Math.floor(server.services.now() / 1000) + 3600;
  const { text } = server.services.tokens.issue({ type: "Access", user_id: crypto.randomUUID(), expirationSecs });
  return new Device(server.client(encoding), text, "");
}

export function postContainer(device: Device, overrides: Partial<NewContainer> = {}) {
  return device.client.call("POST", "/api/container", {
    request: [NewContainer, device.newContainer(overrides).container],
    response: ContainerFrame,
    headers: device.headers(),
  });
}

export function postEntry(device: Device, box: Box, overrides: Partial<EncryptedBlobAndCategoryId> = {}) {
  return device.client.call("POST", "/api/container/entry", {
    request: [EncryptedBlobAndCategoryId, { encrypted_blob: randomBytes(20), version_nonce: 1n, ...overrides }],
    response: EntryId,
    headers: device.headers(box),
  });
}

export function postCategory(device: Device, box: Box, overrides: Partial<NewEncryptedBlob> = {}) {
  return device.client.call("POST", "/api/container/category", {
    request: [NewEncryptedBlob, { value: randomBytes(20), version_nonce: 1n, ...overrides }],
    response: CategoryId,
    headers: device.headers(box),
  });
}

export function postEntryAndCategory(device: Device, box: Box, overrides: Partial<EntryAndCategory> = {}) {
  const pair: EntryAndCategory = {
    entry_encrypted_blob: randomBytes(20),
    entry_version_nonce: 1n,
    category_encrypted_blob: randomBytes(20),
    category_version_nonce: 1n,
    ...overrides,
  };
  return device.client.call("POST", "/api/container/entry-and-category", {
    request: [EntryAndCategory, pair],
    response: EntryIdAndCategoryId,
    headers: device.headers(box),
  });
}

/** Replaces an entry, with the nonces 1 (expected) and 2 (new) unless the test says otherwise. */
export function putEntry(
  device: Device,
  box: Box,
  entry_id: string,
  overrides: Partial<Parameters<Device["replaceEntry"]>[1]> = {},
) {
  return device.replaceEntry(box, {
    entry_id,
    encrypted_blob: randomBytes(20),
    version_nonce: 2n,
    expected_previous_version_nonce: 1n,
    ...overrides,
  });
}

/** Replaces a category, with the nonces 1 (expected) and 2 (new) unless the test says otherwise. */
export function putCategory(
  device: Device,
  box: Box,
  category_id: string,
  overrides: Partial<Parameters<Device["replaceCategory"]>[1]> = {},
) {
  return device.replaceCategory(box, {
    category_id,
    encrypted_blob: randomBytes(20),
    version_nonce: 2n,
    expected_previous_version_nonce: 1n,
    ...overrides,
  });
}

/** Replaces the container's own blob, with the nonces 1 (expected) and 2 (new) unless the test says otherwise. */
export function putContainer(
  device: Device,
  box: Box,
  overrides: Partial<Parameters<Device["replaceContainer"]>[1]> = {},
) {
  return device.replaceContainer(box, {
    encrypted_blob: randomBytes(20),
    version_nonce: 2n,
    expected_previous_version_nonce: 1n,
    ...overrides,
  });
}

/** GET with the tokens in the header, as they are given. */
export function getContainers(device: Device, header: string) {
  return device.client.call("GET", "/api/container", {
    response: ContainerList,
    headers: { ...device.headers(), "x-container-access-token": header },
  });
}

/** A second access key of the same container, as accepting an invitation makes one. */
export async function addKey(db: Executor, { id }: Box, { read_only = false } = {}): Promise<Box> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const key_id = crypto.randomUUID();
  await db`
    insert into container_access_keys (key_id, container_id, public_key, read_only)
    values (${key_id}, ${id}, ${rawPublicKey(publicKey)}, ${read_only})`;
  return new Box(id, key_id, privateKey);
}

export async function setReadOnly(db: Db, { key_id }: Box, read_only: boolean): Promise<void> {
  await db`update container_access_keys set read_only = ${read_only} where key_id = ${key_id}`;
}

export function expectError(answer: Answer<unknown>, type: ErrorType, status: number = ERRORS[type].status): void {
  expect({ status: answer.status, type: answer.error?.err_type }).toEqual({ status, type });
  expect(answer.error?.err_message).toMatch(/^.+$/);
}

/** Status 200 without message: no body, no Content-Type (containers.md 3). */
export function expectEmptyOk(answer: Answer<unknown>): void {
  expect({ status: answer.status, type: answer.error?.err_type }).toEqual({ status: 200, type: undefined });
  expect(answer.headers.get("content-type")).toBeNull();
}

export function entryOf({ entries }: WholeContainer, id: string) {
  const entry = entries.find((candidate) => candidate.id === id);
  if (!entry) throw new Error("the container has no such entry");
  return entry;
}

export function categoryOf({ categories }: WholeContainer, id: string) {
  const category = categories.find((candidate) => candidate.id === id);
  if (!category) throw new Error("the container has no such category");
  return category;
}

/** The container's own fields: to compare what must be as before whatever happened to its rows. */
export function withoutRows(container: WholeContainer): WholeContainer {
  return { ...container, categories: [], entries: [] };
}
