/** The link that confirms a new e-mail address, and the letters of a change (decision A10). */
import { user as userQueries } from "../db/queries.ts";
import { addressTakenLetter, emailChangeLetter, sendNotice } from "../mail/accountLetters.ts";
import { nowMicros, type Services } from "../services.ts";

const SECS_PER_HOUR = 3600;

/** A change that its owner asked for. */
export interface EmailChange {
  user_id: string;
  /** The account's epoch as it is now: the link is void once that has changed. */
  token_epoch: string;
  /** The account's address until the change is confirmed. */
  email: string;
  /** As `requireNewAddress` answers it. */
  new_email: string;
}

/**
 * Asks the database whether the new address is free, and sends the letters as `mailEmailChange`.
 * It does not count the mail; who lets strangers come so far calls `takeLinkMail` before.
 *
 * @throws ApiError PREHANDLER 503 when the mail queue is full
 */
export async function sendEmailChangeLink(services: Services, change: EmailChange): Promise<void> {
  const { is_taken } = await userQueries.is_address_taken(services.db, {
    email: change.new_email,
    now: nowMicros(services),
  });
  mailEmailChange(services, change, is_taken);
}

/**
 * Tells the present address that a change was asked for, and sends the link to the new one; where another account has
 * the new address, a letter that says so. Only the new mailbox learns which, never the client.
 *
 * @throws ApiError PREHANDLER 503 when the mail queue is full
 */
export function mailEmailChange(services: Services, change: EmailChange, is_taken: boolean): void {
  const { mailer, config } = services;
  const to = change.new_email;
  const lifetime_hours = config.emailChangeTokenLifetimeHours;
  const letter = is_taken
    ? addressTakenLetter({ to })
    : emailChangeLetter({ to, link: linkOf(services, change), lifetime_hours });
  mailer.send(letter); // first, since a full queue refuses the request
  sendNotice(services, change.email, "address-change-asked");
}

function linkOf({ config, tokens, now }: Services, { user_id, token_epoch, new_email }: EmailChange): string {
  const expirationSecs = Math.floor(now() / 1000) + config.emailChangeTokenLifetimeHours * SECS_PER_HOUR;
  const { text } = tokens.issue({ type: "EmailChange", user_id, bound_to: token_epoch, new_email, expirationSecs });
  return `${config.publicUrl}/account/email?token=${encodeURIComponent(text)}`;
}
