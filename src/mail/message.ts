import type { SendMailOptions } from "nodemailer";
import { ApiError } from "../errors.ts";
import type { Mailbox } from "../settings/types.ts";
import type { Letter } from "./letters.ts";

/** A letter with everything that a mail has. Its id and date stay the same over all attempts. */
export type Message = SendMailOptions;

/** Where mails come from and where answers go. */
export interface Sender {
  from: Mailbox;
  replyTo: Mailbox;
}

/**
 * @param id makes the Message-ID unique; at most 200 letters, digits and hyphens
 * @throws ApiError INCORRECTLY_FORMED when the address cannot stand in a mail
 */
export function composeMessage(letter: Letter, id: string, { from, replyTo }: Sender): Message {
  // Nodemailer would silently turn such characters into blanks and so write to another address.
  if (!/^[\x20-\x7e]+@[\x20-\x7e]+$/.test(letter.to) || /[<>]/.test(letter.to)) {
    throw new ApiError("INCORRECTLY_FORMED", "The e-mail address holds a character that mail cannot carry.");
  }
  return {
    from,
    replyTo,
    // As an object, because in a text a comma would separate two addresses.
    to: { name: "", address: letter.to },
    subject: letter.subject,
    text: letter.text,
    html: letter.html,
    date: new Date(),
    messageId: `<${id}@${from.address.split("@").at(-1)}>`,
    headers: { "Auto-Submitted": "auto-generated" },
    xMailer: false,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}
