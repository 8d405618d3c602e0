/** Messages that several features share (messages.md, "Shared parts"), and the error body. */
import { bytes, errorType, int64, optional, string, timestamp, uint32, uint64, uuid } from "./field.ts";
import { defineMessage, type MessageType } from "./message.ts";

/** The wire form of `timestamp` fields. In code and in JSON they are plain values, so nobody uses this directly. */
export const Timestamp = defineMessage("Timestamp", { secs: uint64(1), nanos: uint32(2) });

/** The wire form of `uuid` fields. In code and in JSON they are plain values, so nobody uses this directly. */
export const Uuid = defineMessage("Uuid", { value: bytes(1) });

export const Category = defineMessage("Category", {
  id: uuid(1),
  container_id: uuid(2),
  encrypted_blob: bytes(3),
  version_nonce: int64(4),
  modified_timestamp: timestamp(5),
  deleted_at: optional(timestamp(6)),
});
export type Category = MessageType<typeof Category>;

export const Entry = defineMessage("Entry", {
  id: uuid(1),
  container_id: uuid(2),
  category_id: optional(uuid(3)),
  encrypted_blob: bytes(4),
  version_nonce: int64(5),
  modified_timestamp: timestamp(6),
  deleted_at: optional(timestamp(7)),
});
export type Entry = MessageType<typeof Entry>;

export const ServerErrorResponse = defineMessage("ServerErrorResponse", {
  err_type: errorType(1),
  err_message: string(2),
});
export type ServerErrorResponse = MessageType<typeof ServerErrorResponse>;
