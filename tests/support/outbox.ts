/** The passcodes in the outbox of a server without a mail relay, as a person reads them from their mail. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { NewUser } from "../../src/user/messages.ts";
import { parseMail } from "../mail/mailParser.ts";
import { type Answer, type Client, Device, newUser, Refused } from "./client.ts";

const PATIENCE_MS = 10_000;

export class Outbox {
  readonly #directory: string;
  readonly #read = new Set<string>();

  constructor(dataDir: string) {
    this.#directory = join(dataDir, "outbox");
  }

  /**
   * Waits for a mail to this address with a passcode that was not read yet.
   * @returns its passcode, 8 digits
   */
  async passcodeFor(address: string): Promise<string> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      for (const name of this.names().filter((candidate) => !this.#read.has(candidate))) {
        const { headers, parts } = parseMail(readFileSync(join(this.#directory, name), "utf8"));
        if (!headers.get("to")?.includes(address)) continue;
        this.#read.add(name);
        const [, first, second] = /^ +(\d{4}) (\d{4})\s*$/m.exec(parts[0]?.body ?? "") ?? [];
        if (first !== undefined && second !== undefined) return first + second; // others are notices
      }
      if (performance.now() > deadline) throw new Error(`no passcode for ${address} came into ${this.#directory}`);
      await Bun.sleep(10);
    }
  }

  /** The mails, oldest first. */
  names(): string[] {
    if (!existsSync(this.#directory)) return [];
    return readdirSync(this.#directory)
      .filter((name) => name.endsWith(".eml") && !name.startsWith("."))
      .sort();
  }
}

/** A new account on its first device. @throws Refused */
export async function signUp(
  api: Client,
  outbox: Outbox,
  user = newUser(),
): Promise<{ user: NewUser; device: Device }> {
  const { value: token } = accepted("signing up", await api.createUser(user));
  return { user, device: await verify(api, token, await outbox.passcodeFor(user.email)) };
}

/** Another device of an account. @throws Refused */
export async function signIn(api: Client, outbox: Outbox, { email, auth_string }: NewUser): Promise<Device> {
  const { value: token } = accepted("signing in", await api.signIn(email, auth_string));
  return verify(api, token, await outbox.passcodeFor(email));
}

async function verify(api: Client, signinToken: string, passcode: string): Promise<Device> {
  const { tokens } = accepted("the passcode", await api.verifyOtp(signinToken, passcode));
  if (!tokens) throw new Error("the session came without tokens");
  return new Device(api, tokens.access_token, tokens.refresh_token);
}

function accepted<Reply>(step: string, { status, value, error }: Answer<Reply>): Reply {
  if (value === undefined) throw new Refused(step, status, error?.err_type, error?.err_message);
  return value;
}
