/** What incremental sync says on the wire (new-messages.md). */
import { Category, Entry } from "../wire/common.ts";
import { bool, bytes, int64, list, message, optional, string, timestamp, uint32, uint64, uuid } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const ContainerCursor = defineMessage("ContainerCursor", {
  token: string(1),
  /** A cursor of an earlier answer; 0: from the beginning. */
  since: uint64(2),
});
export type ContainerCursor = MessageType<typeof ContainerCursor>;

export const ContainerChangesRequest = defineMessage("ContainerChangesRequest", {
  containers: list(1, ContainerCursor),
  max_bytes: optional(uint32(2)),
});
export type ContainerChangesRequest = MessageType<typeof ContainerChangesRequest>;

export const ContainerState = defineMessage("ContainerState", {
  encrypted_blob: bytes(1),
  version_nonce: int64(2),
  modified_timestamp: timestamp(3),
  deleted_at: optional(timestamp(4)),
});
export type ContainerState = MessageType<typeof ContainerState>;

export const ContainerChanges = defineMessage("ContainerChanges", {
  container_id: uuid(1),
  cursor: uint64(2),
  more: bool(3),
  reset: bool(4),
  /** Present when the container itself changed. */
  container: optional(message(5, ContainerState)),
  categories: list(6, Category),
  entries: list(7, Entry),
});
export type ContainerChanges = MessageType<typeof ContainerChanges>;

export const ContainerChangesList = defineMessage("ContainerChangesList", {
  changes: list(1, ContainerChanges),
});
export type ContainerChangesList = MessageType<typeof ContainerChangesList>;
