import { describe, expect, test } from "bun:test";
import { createLog } from "../../src/log.ts";
import { ACCOUNT_EVENTS, noticeLetter, sendNotice } from "../../src/mail/accountLetters.ts";
import type { Letter, Mailer } from "../../src/mail/mailer.ts";

const TO = "ann@example.com";

/** A mailer that hands each letter to a function. */
function mailerThat(send: (letter: Letter) => void): Mailer {
  return {
    requireRoom: () => {},
    send,
    drain: async () => 0,
    stats: () => ({ waiting: 0, sent: 0, failed: 0 }),
    close: async () => {},
  };
}

describe("A5, A10: notices", () => {
  test("every event has a letter of its own", () => {
    expect(ACCOUNT_EVENTS).toEqual(
      expect.arrayContaining([
        "password-changed",
        "recovery-key-changed",
        "account-recovered",
        "account-key-changed",
        "address-change-asked",
        "address-changed",
        "address-is-yours",
      ]),
    );
    const letters = ACCOUNT_EVENTS.map((event) => noticeLetter({ to: TO, event }));
    expect(new Set(letters.map(({ subject }) => subject)).size).toBe(ACCOUNT_EVENTS.length);
    expect(new Set(letters.map(({ text }) => text)).size).toBe(ACCOUNT_EVENTS.length);
  });

  describe.each([...ACCOUNT_EVENTS])("the letter %s", (event) => {
    const { to, subject, text, html, usefulForMs } = noticeLetter({ to: TO, event });

    test("goes to the address, says what happened and what to do if it was somebody else, and never goes stale", () => {
      expect(to).toBe(TO);
      expect(subject).toMatch(/^[A-Z][ -~]+ \(Entries App\)$/);
      const [heading = "", happened = "", otherwise = "", about = ""] = text.trimEnd().split("\n\n");
      expect(subject).toStartWith(heading);
      expect(happened).toMatch(/^[A-Z][\s\S]{20,}\.$/);
      expect(otherwise).toMatch(/^It was not you\? [\s\S]{20,}\.$/);
      expect(about).toContain("Entries App");
      expect(usefulForMs).toBeUndefined();
    });

    test("says the same in both parts", () => {
      const plain = html
        .replace(/^[\s\S]*<h1[^>]*>/, "")
        .replace(/<[^>]*>/g, " ")
        .replace(/\s+/g, " ")
        .trim();
      expect(plain).toBe(text.replace(/\s+/g, " ").trim());
    });

    test("holds no address, time, link or code, and loads nothing", () => {
      for (const part of [subject, text, html]) expect(part).not.toMatch(/@|https?:|www\.|\d{1,2}:\d{2}|20\d\d/);
      expect(text).not.toMatch(/\d/);
      expect(html).not.toMatch(/<(img|link|script|style|a)\b|url\(/i);
    });

    test("P4: is plain ASCII in short lines, so that a file in the outbox can be read as it is", () => {
      for (const line of `${text}${html}`.split("\n")) expect(line).toMatch(/^[ -~]{0,76}$/);
    });
  });

  test("P4: a name of the app cannot become markup", () => {
    const { html } = noticeLetter({ to: TO, event: "password-changed", app_name: "<script>alert(1)</script>" });
    expect(html).not.toContain("<script");
    expect(html).toContain("&lt;script&gt;");
  });
});

describe("C24: sending a notice", () => {
  const listen = () => {
    const lines: string[] = [];
    return { lines, log: createLog("debug", false, (text) => lines.push(text)) };
  };

  test("hands the letter to the mailer", () => {
    const sent: Letter[] = [];
    const { lines, log } = listen();
    sendNotice({ mailer: mailerThat((letter) => sent.push(letter)), log }, TO, "account-recovered");
    expect(sent).toEqual([noticeLetter({ to: TO, event: "account-recovered" })]);
    log.flush();
    expect(lines).toEqual([]);
  });

  test("never fails what is done already; the log says which notice is missing, not whose", () => {
    const { lines, log } = listen();
    const mailer = mailerThat(() => {
      throw new Error(`no room for ${TO}`);
    });
    sendNotice({ mailer, log }, TO, "password-changed");
    log.flush();
    expect(lines.join("")).toContain('"notice":"password-changed"');
    expect(lines.join("")).not.toContain("ann");
  });
});
