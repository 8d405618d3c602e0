/** What the category routes say on the wire (messages.md). `Category` itself is shared. */
import { bytes, int64, uuid } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const CategoryUpdate = defineMessage("CategoryUpdate", {
  category_id: uuid(1),
  encrypted_blob: bytes(2),
  version_nonce: int64(3),
  expected_previous_version_nonce: int64(4),
});
export type CategoryUpdate = MessageType<typeof CategoryUpdate>;

export const CategoryId = defineMessage("CategoryId", {
  value: uuid(1),
});
export type CategoryId = MessageType<typeof CategoryId>;
