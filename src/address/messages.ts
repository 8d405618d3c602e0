/** What changing the e-mail address says on the wire (messages.md). */
import { bytes, string } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const EmailChangeRequest = defineMessage("EmailChangeRequest", {
  new_email: string(1),
  auth_string: bytes(2),
});
export type EmailChangeRequest = MessageType<typeof EmailChangeRequest>;
