/** The passcodes in the outbox of a server without a mail relay, as a person reads them from their mail. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseMail } from "../mailParser.ts";

const PATIENCE_MS = 10_000;

export class Outbox {
  readonly #directory: string;
  readonly #read = new Set<string>();

  constructor(dataDir: string) {
    this.#directory = join(dataDir, "outbox");
  }

  /**
   * Waits for a mail to this address that was not read yet.
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
        if (first === undefined || second === undefined) throw new Error(`there is no passcode in the mail ${name}`);
        return first + second;
      }
      if (performance.now() > deadline) throw new Error(`no mail to ${address} came into ${this.#directory}`);
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
