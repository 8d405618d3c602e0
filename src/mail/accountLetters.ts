/** Letters that tell an account's owner what happened to the account (decisions A5, A10, A11). */
import { ApiError } from "../errors.ts";
import type { Log } from "../log.ts";
import { htmlLetter, type Letter, linkBlock, paragraph } from "./letters.ts";
import type { Mailer } from "./mailer.ts";

interface Notice {
  /** A sentence that stands alone, since many read no further. */
  subject: string;
  happened: string;
  /** What to do if it was somebody else. */
  otherwise: string;
}

// Lines of ASCII up to 76 characters travel unencoded, so that a file in the outbox can be read as it is.
const NOTICES = {
  "password-changed": {
    subject: "Your password was changed",
    happened: "The password of your account was changed. All other devices were signed out.",
    otherwise:
      "It was not you? Then somebody can read your mail. Secure your mailbox first,\nthen recover the account with your recovery key: that gives it a new\npassword and signs out every device.",
  },
  "recovery-key-changed": {
    subject: "Your recovery key was changed",
    happened: "Your account has a new recovery key. The previous one no longer works.",
    otherwise:
      "It was not you? Then somebody uses your account and can read your mail.\nSecure your mailbox first, then change the password, which signs out all\nother devices, and make another recovery key.",
  },
  "account-recovered": {
    subject: "Your account was recovered",
    happened:
      "Your account was opened with its recovery key. Password and recovery key are\nnew, and all devices were signed out.",
    otherwise:
      "It was not you? Then somebody has your former recovery key, and the password\nthat you know no longer works. Tell the people who run this service at once.",
  },
  "account-key-changed": {
    subject: "The encryption key of your account was changed",
    happened:
      "Your account has a new encryption key and a new recovery key. All other\ndevices were signed out; each needs one new sign-in.",
    otherwise:
      "It was not you? Then somebody uses your account and can read your mail.\nSecure your mailbox and tell the people who run this service at once.",
  },
  "address-change-asked": {
    subject: "A change of your e-mail address was asked for",
    happened:
      "Somebody who knows the password or the recovery key of your account asked\nfor another e-mail address. Nothing has changed yet: the change is made when\nit is confirmed from the new mailbox.",
    otherwise: "It was not you? Then change your password now: that also voids the change\nthat was asked for.",
  },
  "address-changed": {
    subject: "The e-mail address of your account was changed",
    happened:
      "Your account has another e-mail address now. This address no longer belongs\nto it, and no further mail about the account comes here.",
    otherwise:
      "It was not you? Then somebody knows your password or your recovery key. Tell\nthe people who run this service at once.",
  },
  "address-is-yours": {
    subject: "Your account uses this e-mail address now",
    happened:
      "The change of your e-mail address is done. Sign in with this address from\nnow on; one-time passcodes come here.",
    otherwise:
      "It was not you? Then somebody can read your mail: the change was confirmed\nwith a letter that came here. Secure your mailbox and tell the people who\nrun this service.",
  },
  "second-factor-added": {
    subject: "A second factor was added to your account",
    happened:
      "An authenticator app or a passkey was added to your account. Sign-in can be\nfinished with it in place of a mailed code.",
    otherwise:
      "It was not you? Then somebody knows your password. Change it now, which\nsigns out all other devices, and remove the second factor.",
  },
  "second-factor-removed": {
    subject: "A second factor was removed from your account",
    happened: "An authenticator app or a passkey was removed from your account. It can no\nlonger finish a sign-in.",
    otherwise:
      "It was not you? Then somebody knows your password. Change it now, which\nsigns out all other devices, and look at your second factors.",
  },
  "recovery-codes-renewed": {
    subject: "Your account has new recovery codes",
    happened: "Ten new recovery codes were made for your account. The previous ones no\nlonger work.",
    otherwise:
      "It was not you? Then somebody knows your password. Change it now, which\nsigns out all other devices, and make new codes.",
  },
  "recovery-code-used": {
    subject: "A recovery code was used to sign in",
    happened:
      "Somebody signed in to your account with your password and one of your\nrecovery codes. That code no longer works.",
    otherwise:
      "It was not you? Then somebody knows your password and has your codes. Change\nthe password now, which signs out all other devices, and make new codes.",
  },
  "second-factor-wrong": {
    subject: "A wrong code was given for your account",
    happened: "Somebody who knows your password gave a wrong code of your second factor.",
    otherwise:
      "It was not you? Then somebody knows your password: codes are asked for only\nafter it. Change it now; that also ends a sign-in that has begun. A slip of\nyour own finger does no harm.",
  },
  "second-factor-guesses": {
    subject: "Too many wrong codes for your account",
    happened:
      "Codes of your second factor were wrong ten times. For the rest of the hour\nonly mailed codes are accepted.",
    otherwise:
      "It was not you? Then somebody knows your password: codes are asked for only\nafter it. Change it now; that also ends a sign-in that has begun.",
  },
} as const satisfies Record<string, Notice>;

/** What an owner is told about. "address-is-yours" goes to the new address of a change, the other two to the old one. */
export type AccountEvent = keyof typeof NOTICES;

export const ACCOUNT_EVENTS = Object.keys(NOTICES) as readonly AccountEvent[];

/**
 * The letter about an event. It holds no times, addresses, links or secrets: nothing that must be escaped, and nothing
 * to learn for somebody else who reads it.
 *
 * @param args.app_name default: Entries App
 */
export function noticeLetter(args: { to: string; event: AccountEvent; app_name?: string }): Letter {
  const { to, event, app_name = "Entries App" } = args;
  const { subject, happened, otherwise }: Notice = NOTICES[event];
  const blocks = [happened, otherwise, `This letter is about your account at ${app_name}. It needs no answer.`];
  return {
    to,
    subject: `${subject} (${app_name})`,
    text: `${[subject, ...blocks].join("\n\n")}\n`,
    html: htmlLetter(subject, blocks.map(paragraph)),
  };
}

/**
 * Sends the letter about something that is done already. It never throws: what is done stays done, and is answered so
 * (accounts.md C24). Whoever changes something asks `mailer.requireRoom()` before.
 */
export function sendNotice(services: Sending, to: string, event: AccountEvent): void {
  sendWhatIsDone(services, event, () => noticeLetter({ to, event }));
}

interface Sending {
  mailer: Mailer;
  log: Log;
}

function sendWhatIsDone({ mailer, log }: Sending, notice: string, letter: () => Letter): void {
  try {
    mailer.send(letter());
  } catch (error) {
    const reason = error instanceof ApiError ? error.type : "unexpected";
    log.error("a notice was not sent", { notice, reason });
  }
}

const MS_PER_HOUR = 3_600_000;

/**
 * The letter to a new address with the link that confirms it. It is of no use once the link has expired.
 *
 * @param args.link the whole URL
 * @param args.lifetime_hours how long the link works
 * @param args.app_name default: Entries App
 */
export function emailChangeLetter(args: {
  to: string;
  link: string;
  lifetime_hours: number;
  app_name?: string;
}): Letter {
  const { to, link, lifetime_hours, app_name = "Entries App" } = args;
  const heading = "Confirm your new e-mail address";
  const happened = `Somebody asked to use this e-mail address for an account at ${app_name}.\nIt was you? Then open this page and confirm it there:`;
  const hours = lifetime_hours === 1 ? "hour" : "hours";
  const advice = [
    `The link works once, for ${lifetime_hours} ${hours}, and not after the password was changed.`,
    "It was not you? Then do nothing: as long as nobody confirms, nothing changes.",
  ];
  return {
    to,
    subject: `${heading} (${app_name})`,
    text: `${[heading, happened, link, ...advice].join("\n\n")}\n`,
    html: htmlLetter(heading, [paragraph(happened), linkBlock(link), ...advice.map(paragraph)]),
    usefulForMs: lifetime_hours * MS_PER_HOUR,
  };
}

/**
 * The letter to a new address that cannot be had, since an account with it exists. Whoever asked is told nothing.
 *
 * @param args.app_name default: Entries App
 */
export function addressTakenLetter(args: { to: string; app_name?: string }): Letter {
  const { to, app_name = "Entries App" } = args;
  const heading = "An account with this e-mail address exists already";
  const blocks = [
    `Somebody asked to use this e-mail address for an account at ${app_name}.\nThat cannot be: an account with this address exists already.\nNothing was changed.`,
    "It was you? Then sign in with this address, or choose another one for your\nother account.",
    "It was not you? Then there is nothing to do.",
  ];
  return {
    to,
    subject: `${heading} (${app_name})`,
    text: `${[heading, ...blocks].join("\n\n")}\n`,
    html: htmlLetter(heading, blocks.map(paragraph)),
  };
}

const MS_PER_DAY = 86_400_000;

/**
 * The letter with the link that confirms the deletion of an account (accounts.md 10). It is of no use once the link has
 * expired.
 *
 * @param args.link the whole URL
 * @param args.lifetime_days how long the link works
 * @param args.app_name default: Entries App
 */
export function deletionLetter(args: { to: string; link: string; lifetime_days: number; app_name?: string }): Letter {
  const { to, link, lifetime_days, app_name = "Entries App" } = args;
  const heading = "Confirm the deletion of your account";
  const happened = `Somebody who is signed in to your account at ${app_name} asked to delete it.\nIt was you? Then open this page and confirm it there:`;
  const advice = [
    "Opening the page changes nothing. Once you confirm there, the deletion is\nscheduled; until it is done you can cancel it in the app.",
    `The link expires in ${inDays(lifetime_days)}. If you ignore this letter, the account stays as it is.`,
    "It was not you? Then somebody uses your account: change its password now, which\nsigns out all other devices and voids this link.",
  ];
  return {
    to,
    subject: `${heading} (${app_name})`,
    text: `${[heading, happened, link, ...advice].join("\n\n")}\n`,
    html: htmlLetter(heading, [paragraph(happened), linkBlock(link), ...advice.map(paragraph)]),
    usefulForMs: lifetime_days * MS_PER_DAY,
  };
}

/**
 * The letter that tells an owner when the account will be deleted.
 *
 * @param args.delay_days until the deletion; 0 is at once
 * @param args.app_name default: Entries App
 */
export function deletionScheduledLetter(args: { to: string; delay_days: number; app_name?: string }): Letter {
  const { to, delay_days, app_name = "Entries App" } = args;
  const heading = "The deletion of your account is scheduled";
  const time = delay_days === 0 ? "very soon" : `in ${inDays(delay_days)}`;
  const blocks = [
    `The deletion of your account at ${app_name} was confirmed with the link that we\nmailed. It will be deleted ${time}, with everything that only you can open.`,
    "Until then it works as before, and you can cancel the deletion in the app.",
    "It was not you? Then somebody uses your account and can read your mail. Secure\nyour mailbox, cancel the deletion in the app, and change the password.",
  ];
  return {
    to,
    subject: `${heading} (${app_name})`,
    text: `${[heading, ...blocks].join("\n\n")}\n`,
    html: htmlLetter(heading, blocks.map(paragraph)),
  };
}

/** Sends that letter, as `sendNotice` does. @param delay_days until the deletion; 0 is at once */
export function sendDeletionScheduled(services: Sending, to: string, delay_days: number): void {
  sendWhatIsDone(services, "deletion-scheduled", () => deletionScheduledLetter({ to, delay_days }));
}

function inDays(days: number): string {
  return days === 1 ? "1 day" : `${days} days`;
}
