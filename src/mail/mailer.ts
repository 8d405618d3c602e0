import { randomUUID } from "node:crypto";
import { overloaded } from "../errors.ts";
import type { Log } from "../log.ts";
import { type Mailbox, mailbox } from "../settings/types.ts";
import type { Letter } from "./letters.ts";
import { composeMessage } from "./message.ts";
import { createOutbox } from "./outbox.ts";
import { MailQueue, type QueueStats } from "./queue.ts";
import { createRelay, SMTP_TIMEOUTS, type SmtpSettings, type SmtpTimeouts } from "./smtp.ts";
import type { Transport } from "./transport.ts";

export type { Letter };

export interface MailSettings {
  /** As parsed by the settings, or as text: `Name <a@b>` or the address alone. */
  from: Mailbox | string;
  replyTo: Mailbox | string;
  /** The relay. Without it mails become files in `outboxDir`. */
  smtp?: SmtpSettings;
  outboxDir?: string;
  /** Most mails that may be in memory. Default 1000. */
  queueMax?: number;
}

/** Waiting times in milliseconds, for tests to shorten. */
export interface MailTiming extends SmtpTimeouts {
  /** After the first temporary failure, the second and so on; after the last the mail is given up. */
  retryDelaysMs: readonly number[];
}

export interface Mailer {
  /**
   * Says whether `send` would take a letter now, to be asked before anything is changed that needs one.
   *
   * @throws ApiError PREHANDLER 503 with Retry-After, as `send`
   */
  requireRoom(): void;
  /**
   * Puts a letter in the queue and returns at once. Call it after the transaction has committed.
   *
   * @throws ApiError PREHANDLER (503 with Retry-After) when the queue is full or the mailer closed; INCORRECTLY_FORMED
   *   when the address cannot stand in a mail
   */
  send(letter: Letter): void;
  /**
   * Tries all that waits once more at once, for at most `limitMs`. Sending goes on afterwards.
   * @returns how many mails are left unsent
   */
  drain(limitMs: number): Promise<number>;
  stats(): QueueStats;
  /** Breaks off what is under way and forgets what waits; `drain` comes first. */
  close(): Promise<void>;
}

const QUEUE_MAX = 1000;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const RETRY_DELAYS_MS = [SECOND, 5 * SECOND, 30 * SECOND, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE];
/** What a client is told to wait when the queue is full. */
const FULL_RETRY_AFTER_SECS = 30;

/**
 * The way of all mail out of the server (decision P4): a bounded queue in memory, then the relay or the outbox.
 *
 * @throws Error that says which of the settings cannot be used
 */
export function createMailer(settings: MailSettings, log: Log, timing: Partial<MailTiming> = {}): Mailer {
  const { queueMax = QUEUE_MAX } = settings;
  const { retryDelaysMs = RETRY_DELAYS_MS, ...timeouts } = timing;
  const sender = { from: asMailbox("from", settings.from), replyTo: asMailbox("replyTo", settings.replyTo) };
  const queue = new MailQueue(
    createMailTransport(settings, { ...SMTP_TIMEOUTS, ...timeouts }, log),
    retryDelaysMs,
    log,
  );
  function requireRoom(): void {
    if (queue.isClosed) throw overloaded("The server is stopping and takes no more mail.", FULL_RETRY_AFTER_SECS);
    if (queue.stats().waiting >= queueMax) {
      throw overloaded("Too many mails wait to be sent; try again later.", FULL_RETRY_AFTER_SECS);
    }
  }

  return {
    requireRoom,
    send(letter) {
      requireRoom();
      const id = randomUUID();
      const expiresAt = performance.now() + (letter.usefulForMs ?? Number.POSITIVE_INFINITY);
      queue.add({ id, message: composeMessage(letter, id, sender), expiresAt });
    },
    drain: (limitMs) => queue.drain(limitMs),
    stats: () => queue.stats(),
    close: () => queue.close(),
  };
}

function createMailTransport({ smtp, outboxDir }: MailSettings, timeouts: SmtpTimeouts, log: Log): Transport {
  if (smtp) {
    if (smtp.security === "plain" && smtp.password) log.warn("the mail relay's password is sent in clear");
    return createRelay(smtp, timeouts);
  }
  if (outboxDir === undefined) throw new Error("Mail needs a relay (smtp) or a directory (outboxDir).");
  return createOutbox(outboxDir);
}

function asMailbox(field: string, value: Mailbox | string): Mailbox {
  if (typeof value !== "string") return value;
  const parsed = mailbox.parse(value);
  if (!parsed) throw new Error(`The mail setting ${field} must be ${mailbox.must}.`);
  return parsed;
}
