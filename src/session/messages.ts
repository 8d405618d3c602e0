/** What sessions say on the wire (new-messages.md). */
import { bool, bytes, list, optional, timestamp, uuid } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const Session = defineMessage("Session", {
  id: uuid(1),
  expiration: timestamp(2),
  is_current: bool(3),
  label_encrypted: optional(bytes(4)),
});
export type Session = MessageType<typeof Session>;

export const SessionList = defineMessage("SessionList", {
  sessions: list(1, Session),
});
export type SessionList = MessageType<typeof SessionList>;

export const SessionId = defineMessage("SessionId", {
  value: uuid(1),
});
export type SessionId = MessageType<typeof SessionId>;

export const SessionLabel = defineMessage("SessionLabel", {
  value: bytes(1),
});
export type SessionLabel = MessageType<typeof SessionLabel>;
