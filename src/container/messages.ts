/** What containers, their members, bulk upload and re-keying say on the wire (messages.md, new-messages.md). */
import { Category, Entry } from "../wire/common.ts";
import { bool, bytes, int32, int64, list, message, optional, strings, timestamp, uuid } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

/** Replaces a container's, a user's preferences' or a user's keystore's blob. */
export const EncryptedBlobUpdate = defineMessage("EncryptedBlobUpdate", {
  encrypted_blob: bytes(1),
  version_nonce: int64(2),
  expected_previous_version_nonce: int64(3),
});
export type EncryptedBlobUpdate = MessageType<typeof EncryptedBlobUpdate>;

export const ContainerAccessTokenList = defineMessage("ContainerAccessTokenList", { tokens: strings(1) });
export type ContainerAccessTokenList = MessageType<typeof ContainerAccessTokenList>;

/** The blob of something new that has no other fields. */
export const NewEncryptedBlob = defineMessage("NewEncryptedBlob", {
  value: bytes(1),
  version_nonce: int64(2),
});
export type NewEncryptedBlob = MessageType<typeof NewEncryptedBlob>;

export const CategoryWithTempId = defineMessage("CategoryWithTempId", {
  temp_id: int32(1),
  encrypted_blob: bytes(2),
  version_nonce: int64(3),
});
export type CategoryWithTempId = MessageType<typeof CategoryWithTempId>;

export const NewContainer = defineMessage("NewContainer", {
  encrypted_blob: bytes(1),
  version_nonce: int64(2),
  categories: list(3, CategoryWithTempId),
  user_public_container_key: bytes(4),
});
export type NewContainer = MessageType<typeof NewContainer>;

export const BulkUploadEntry = defineMessage("BulkUploadEntry", {
  temp_id: int32(1),
  encrypted_blob: bytes(2),
  version_nonce: int64(3),
  category_temp_id: optional(int32(4)),
});
export type BulkUploadEntry = MessageType<typeof BulkUploadEntry>;

export const BulkUploadContainer = defineMessage("BulkUploadContainer", {
  encrypted_blob: bytes(1),
  version_nonce: int64(2),
  categories: list(3, CategoryWithTempId),
  entries: list(4, BulkUploadEntry),
  user_public_container_key: bytes(5),
});
export type BulkUploadContainer = MessageType<typeof BulkUploadContainer>;

export const BulkUploadContainerList = defineMessage("BulkUploadContainerList", {
  containers: list(1, BulkUploadContainer),
});
export type BulkUploadContainerList = MessageType<typeof BulkUploadContainerList>;

export const ContainerFrameCategory = defineMessage("ContainerFrameCategory", {
  temp_id: int32(1),
  real_id: uuid(2),
});
export type ContainerFrameCategory = MessageType<typeof ContainerFrameCategory>;

export const ContainerFrame = defineMessage("ContainerFrame", {
  access_key_id: uuid(1),
  id: uuid(2),
  category_ids: list(3, ContainerFrameCategory),
  modified_timestamp: timestamp(4),
});
export type ContainerFrame = MessageType<typeof ContainerFrame>;

export const Container = defineMessage("Container", {
  id: uuid(1),
  encrypted_blob: bytes(2),
  version_nonce: int64(3),
  modified_timestamp: timestamp(4),
  categories: list(5, Category),
  entries: list(6, Entry),
  deleted_at: optional(timestamp(7)),
});
export type Container = MessageType<typeof Container>;

export const ContainerList = defineMessage("ContainerList", {
  containers: list(1, Container),
});
export type ContainerList = MessageType<typeof ContainerList>;

export const BulkUploadEntryFrame = defineMessage("BulkUploadEntryFrame", {
  temp_id: int32(1),
  real_id: uuid(2),
  category_id: optional(uuid(3)),
});
export type BulkUploadEntryFrame = MessageType<typeof BulkUploadEntryFrame>;

export const BulkUploadContainerFrame = defineMessage("BulkUploadContainerFrame", {
  access_key_id: uuid(1),
  id: uuid(2),
  category_ids: list(3, ContainerFrameCategory),
  entry_ids: list(4, BulkUploadEntryFrame),
  modified_timestamp: timestamp(5),
});
export type BulkUploadContainerFrame = MessageType<typeof BulkUploadContainerFrame>;

export const BulkUploadContainerFrameList = defineMessage("BulkUploadContainerFrameList", {
  containers: list(1, BulkUploadContainerFrame),
});
export type BulkUploadContainerFrameList = MessageType<typeof BulkUploadContainerFrameList>;

export const MemberKey = defineMessage("MemberKey", {
  key_id: uuid(1),
  read_only: bool(2),
  is_own: bool(3),
});
export type MemberKey = MessageType<typeof MemberKey>;

export const MemberKeyList = defineMessage("MemberKeyList", {
  keys: list(1, MemberKey),
});
export type MemberKeyList = MessageType<typeof MemberKeyList>;

export const MemberKeyId = defineMessage("MemberKeyId", {
  value: uuid(1),
});
export type MemberKeyId = MessageType<typeof MemberKeyId>;

export const RekeyedItem = defineMessage("RekeyedItem", {
  id: uuid(1),
  encrypted_blob: bytes(2),
  version_nonce: int64(3),
  expected_previous_version_nonce: int64(4),
});
export type RekeyedItem = MessageType<typeof RekeyedItem>;

export const ContainerRekey = defineMessage("ContainerRekey", {
  container: message(1, EncryptedBlobUpdate),
  categories: list(2, RekeyedItem),
  entries: list(3, RekeyedItem),
});
export type ContainerRekey = MessageType<typeof ContainerRekey>;
