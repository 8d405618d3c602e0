/** What deleting an account says on the wire (messages.md). */
import { bool, uint64 } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const VerificationEmailSent = defineMessage("VerificationEmailSent", {
  email_sent: bool(1),
  email_token_lifetime_hours: uint64(2),
});
export type VerificationEmailSent = MessageType<typeof VerificationEmailSent>;

export const IsUserListedForDeletion = defineMessage("IsUserListedForDeletion", {
  value: bool(1),
});
export type IsUserListedForDeletion = MessageType<typeof IsUserListedForDeletion>;
