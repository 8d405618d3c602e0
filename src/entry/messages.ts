/** What the entry routes say on the wire (messages.md). `Entry` itself is shared. */
import { bytes, int64, optional, uuid } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const EncryptedBlobAndCategoryId = defineMessage("EncryptedBlobAndCategoryId", {
  encrypted_blob: bytes(1),
  version_nonce: int64(2),
  category_id: optional(uuid(3)),
});
export type EncryptedBlobAndCategoryId = MessageType<typeof EncryptedBlobAndCategoryId>;

export const EntryAndCategory = defineMessage("EntryAndCategory", {
  entry_encrypted_blob: bytes(1),
  entry_version_nonce: int64(2),
  category_encrypted_blob: bytes(3),
  category_version_nonce: int64(4),
});
export type EntryAndCategory = MessageType<typeof EntryAndCategory>;

export const EntryUpdate = defineMessage("EntryUpdate", {
  entry_id: uuid(1),
  encrypted_blob: bytes(2),
  version_nonce: int64(3),
  expected_previous_version_nonce: int64(4),
  category_id: optional(uuid(5)),
});
export type EntryUpdate = MessageType<typeof EntryUpdate>;

export const EntryId = defineMessage("EntryId", {
  value: uuid(1),
});
export type EntryId = MessageType<typeof EntryId>;

export const EntryIdAndCategoryId = defineMessage("EntryIdAndCategoryId", {
  entry_id: uuid(1),
  category_id: uuid(2),
});
export type EntryIdAndCategoryId = MessageType<typeof EntryIdAndCategoryId>;
