import type { Log, LogFields } from "../log.ts";
import type { Message } from "./message.ts";
import { DeliveryError, type Transport } from "./transport.ts";

/** A mail in the queue. */
export interface QueuedMail {
  /** For the log, and in the Message-ID. */
  id: string;
  message: Message;
  /** Reading of `performance.now()` from which on the mail is of no use. */
  expiresAt: number;
}

/** How long `close` waits for attempts that were broken off. */
const CLOSE_LIMIT_MS = 1000;

interface Pending extends QueuedMail {
  attempts: number;
}

export interface QueueStats {
  /** Mails not yet sent and not given up, those under way included. */
  waiting: number;
  /** Since the start. */
  sent: number;
  /** Refused, expired or given up since the start. */
  failed: number;
}

/** Mails in memory on their way to a transport, which is asked again after a temporary failure. */
export class MailQueue {
  readonly #transport: Transport;
  readonly #retryDelaysMs: readonly number[];
  readonly #log: Log;
  /** Mails whose turn is now, oldest first. */
  readonly #ready: Pending[] = [];
  /** Mails that failed and wait for their next attempt. */
  readonly #resting = new Map<Pending, ReturnType<typeof setTimeout>>();
  #underWay = 0;
  #sent = 0;
  #failed = 0;
  #isDraining = false;
  #isClosed = false;
  #idleListeners: (() => void)[] = [];

  /** @param retryDelaysMs how long to wait after the first failure, the second and so on; after the last: give up */
  constructor(transport: Transport, retryDelaysMs: readonly number[], log: Log) {
    this.#transport = transport;
    this.#retryDelaysMs = retryDelaysMs;
    this.#log = log;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  stats(): QueueStats {
    const waiting = this.#ready.length + this.#resting.size + this.#underWay;
    return { waiting, sent: this.#sent, failed: this.#failed };
  }

  /** Takes a mail and returns at once. */
  add(mail: QueuedMail): void {
    this.#ready.push({ ...mail, attempts: 0 });
    this.#fillTransport();
  }

  /**
   * Tries every mail once more without its waiting time, for at most `limitMs`.
   * @returns how many mails are left
   */
  async drain(limitMs: number): Promise<number> {
    this.#isDraining = true;
    for (const mail of [...this.#resting.keys()]) this.#wake(mail);
    await this.#idle(limitMs);
    this.#isDraining = false;
    return this.stats().waiting;
  }

  /** Breaks off what is under way and forgets what waits. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of this.#resting.values()) clearTimeout(timer);
    this.#resting.clear();
    this.#ready.length = 0;
    this.#transport.close();
    await this.#idle(CLOSE_LIMIT_MS);
  }

  #fillTransport(): void {
    while (this.#underWay < this.#transport.parallelMax) {
      const mail = this.#ready.shift();
      if (!mail) break;
      this.#underWay++;
      void this.#attempt(mail).finally(() => {
        this.#underWay--;
        this.#fillTransport();
      });
    }
    if (this.#underWay > 0) return;
    for (const listener of this.#idleListeners.splice(0)) listener();
  }

  async #attempt(mail: Pending): Promise<void> {
    if (performance.now() >= mail.expiresAt) return this.#giveUp(mail, "mail expired", {});
    mail.attempts++;
    const hadDrainBegun = this.#isDraining;
    const startedAt = performance.now();
    try {
      const fields = await this.#transport.deliver(mail.message);
      this.#sent++;
      const duration_ms = Math.round(performance.now() - startedAt);
      this.#log.info("mail sent", { mail_id: mail.id, attempt: mail.attempts, duration_ms, ...fields });
    } catch (error) {
      if (this.#isClosed) return;
      this.#afterFailure(mail, error, this.#isDraining && !hadDrainBegun);
    }
  }

  /** @param atOnce the attempt began before a drain, which grants one more */
  #afterFailure(mail: Pending, error: unknown, atOnce: boolean): void {
    const isKnown = error instanceof DeliveryError;
    const fields = isKnown ? error.fields : { error: error instanceof Error ? error.name : typeof error };
    const delayMs = atOnce ? 0 : this.#retryDelaysMs[mail.attempts - 1];
    if (isKnown && error.isPermanent) this.#giveUp(mail, "mail refused", fields);
    else if (delayMs === undefined) this.#giveUp(mail, "mail given up", fields);
    else if (performance.now() + delayMs >= mail.expiresAt) this.#giveUp(mail, "mail expired", fields);
    else this.#retry(mail, delayMs, fields);
  }

  #retry(mail: Pending, delayMs: number, fields: LogFields): void {
    this.#log.warn("mail delayed", { mail_id: mail.id, attempt: mail.attempts, retry_in_ms: delayMs, ...fields });
    if (delayMs === 0) {
      this.#ready.push(mail);
      return;
    }
    const timer = setTimeout(() => this.#wake(mail), delayMs);
    this.#resting.set(mail, timer);
  }

  #giveUp(mail: Pending, event: string, fields: LogFields): void {
    this.#failed++;
    this.#log.error(event, { mail_id: mail.id, attempt: mail.attempts, ...fields });
  }

  #wake(mail: Pending): void {
    clearTimeout(this.#resting.get(mail));
    this.#resting.delete(mail);
    this.#ready.push(mail);
    this.#fillTransport();
  }

  /** Resolves when no mail is ready or under way (some may rest), or after `limitMs`. */
  #idle(limitMs: number): Promise<void> {
    if (this.#underWay === 0 && this.#ready.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#idleListeners.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
