/** What the mail tests share: a mailer with short waiting times, its log, and the end of everything they opened. */
import { expect } from "bun:test";
import { createLog } from "../../src/log.ts";
import { type Letter, otpLetter } from "../../src/mail/letters.ts";
import { createMailer, type Mailer, type MailSettings, type MailTiming } from "../../src/mail/mailer.ts";
import { lookThrough } from "../support/loggedSecrets.ts";
import { caFile, type RelayOptions, startRelay, type TestRelay } from "./mailRelay.ts";

export const ADDRESS = "ann.o'neil@example.com";
export const OTP = "01234567";

const cleanUps: (() => unknown)[] = [];

/** Calls `run` after the test. */
export function atEnd(run: () => unknown): void {
  cleanUps.push(run);
}

/** For `afterEach`: closes everything, last opened first. */
export async function cleanUp(): Promise<void> {
  for (const run of cleanUps.splice(0).reverse()) await run();
}

export interface LogLine {
  event: string;
  level: string;
  [field: string]: unknown;
}

export interface Setup {
  mailer: Mailer;
  logLines(): LogLine[];
  logText(): string;
}

/** A mailer with short waiting times. */
export function openMailer(settings: Partial<MailSettings>, timing: Partial<MailTiming> = {}): Setup {
  let logText = "";
  const log = createLog("debug", false, (text) => {
    logText += text;
    lookThrough(text);
  });
  const sender = { from: "Entries <entries@mail.example.org>", replyTo: "Help, please <help@example.org>" };
  const mailer = createMailer({ ...sender, ...settings }, log, { retryDelaysMs: [20, 20, 20], ...timing });
  atEnd(() => mailer.close());
  const written = () => {
    log.flush();
    return logText;
  };
  const logLines = () =>
    written()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as LogLine);
  return { mailer, logLines, logText: written };
}

export async function openRelay(options: RelayOptions = {}): Promise<TestRelay> {
  const relay = await startRelay(options);
  atEnd(() => relay.close());
  return relay;
}

export function smtp(port: number, more: Partial<NonNullable<MailSettings["smtp"]>> = {}) {
  return { smtp: { host: "127.0.0.1", port, security: "starttls" as const, caFile, ...more } };
}

export function letter(to = ADDRESS): Letter {
  return otpLetter({ to, otp: OTP, lifetime_mins: 10 });
}

/** Waits for a state that comes by itself. */
export async function eventually(isReached: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!isReached()) {
    if (performance.now() > deadline) throw new Error("the expected state did not come");
    await Bun.sleep(5);
  }
}

/** A port on which nobody listens. */
export async function freePort(): Promise<number> {
  const relay = await startRelay();
  await relay.close();
  return relay.port;
}

export function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

export function expectNoSecrets(text: string): void {
  for (const secret of [ADDRESS, OTP, "0123 4567", "one-time passcode", "hunter2"]) expect(text).not.toContain(secret);
}
