import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { escapeHtml } from "../../src/html.ts";
import { otpLetter } from "../../src/mail/letters.ts";
import { createOutbox } from "../../src/mail/outbox.ts";
import { parseMail } from "./mailParser.ts";
import {
  ADDRESS,
  atEnd,
  cleanUp,
  eventually,
  expectNoSecrets,
  letter,
  OTP,
  openMailer,
  openRelay,
  smtp,
  thrownBy,
} from "./mailSetup.ts";

afterEach(cleanUp);

describe("P4: the outbox", () => {
  function temporaryDirectory(): string {
    const directory = mkdtempSync(join(tmpdir(), "entries-mail-"));
    atEnd(() => rmSync(directory, { recursive: true, force: true }));
    return directory;
  }

  test("P4: without a relay mails are files that only this user may read, and the log says where", async () => {
    const outboxDir = join(temporaryDirectory(), "data", "outbox");
    const { mailer, logLines, logText } = openMailer({ outboxDir });
    for (let index = 0; index < 5; index++) mailer.send(letter(`ann-${index}@example.com`));
    expect(await mailer.drain(3000)).toBe(0);
    const names = readdirSync(outboxDir).sort();
    expect(names).toHaveLength(5);
    for (const name of names) {
      expect(name).toMatch(/^\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}\.eml$/);
      expect(statSync(join(outboxDir, name)).mode & 0o777).toBe(0o600);
    }
    expect(statSync(outboxDir).mode & 0o777).toBe(0o700);
    const recipients = names.map((name) => parseMail(readFileSync(join(outboxDir, name), "utf8")).headers.get("to"));
    expect(recipients).toEqual([0, 1, 2, 3, 4].map((index) => `ann-${index}@example.com`));
    expect(logLines().map(({ path }) => path)).toEqual(names.map((name) => join(outboxDir, name)));
    expectNoSecrets(logText());
    expect(logText()).not.toContain("example.com");
  });

  test("P4: the names of files sort by time, also within a millisecond", async () => {
    const outbox = createOutbox(temporaryDirectory());
    const message = { from: "a@example.org", to: ADDRESS, text: "text" };
    const written = await Promise.all(Array.from({ length: 30 }, () => outbox.deliver(message)));
    const paths = written.map(({ path }) => String(path));
    expect(paths).toEqual(paths.toSorted());
    expect(new Set(paths).size).toBe(30);
  });

  test("P4: a mail has its headers and both parts, with the passcode in each", async () => {
    const outboxDir = temporaryDirectory();
    const before = Math.floor(Date.now() / 1000) * 1000;
    const { mailer, logLines } = openMailer({ outboxDir });
    mailer.send(otpLetter({ to: ADDRESS, otp: OTP, lifetime_mins: 10, app_name: "Bücher & Söhne" }));
    await mailer.drain(3000);
    const [name = ""] = readdirSync(outboxDir);
    const { headers, parts } = parseMail(readFileSync(join(outboxDir, name), "utf8"));
    expect(headers.get("from")).toBe("Entries <entries@mail.example.org>");
    expect(headers.get("reply-to")).toBe('"Help, please" <help@example.org>');
    expect(headers.get("to")).toBe(ADDRESS);
    expect(headers.get("message-id")).toBe(`<${logLines()[0]?.mail_id}@mail.example.org>`);
    expect(headers.get("auto-submitted")).toBe("auto-generated");
    expect(headers.get("mime-version")).toBe("1.0");
    expect(headers.has("x-mailer")).toBe(false);
    expect(headers.get("subject")).toMatch(/^=\?UTF-8\?/);
    expect(Date.parse(headers.get("date") ?? "")).toBeWithin(before, Date.now() + 1);
    expect(headers.get("content-type")).toStartWith("multipart/alternative;");
    expect(parts.map((part) => part.headers.get("content-type"))).toEqual([
      "text/plain; charset=utf-8",
      "text/html; charset=utf-8",
    ]);
    const [text, html] = parts.map(({ body }) => body);
    expect(text).toContain("0123 4567");
    expect(text).toContain("Bücher & Söhne");
    expect(html).toContain(">0123 4567<");
    expect(html).toContain("Bücher &amp; Söhne");
  });

  test("P4: a file of plain ASCII can be read without decoding", async () => {
    const outboxDir = temporaryDirectory();
    const { mailer } = openMailer({ outboxDir });
    mailer.send(letter());
    await mailer.drain(3000);
    const [name = ""] = readdirSync(outboxDir);
    const { parts } = parseMail(readFileSync(join(outboxDir, name), "utf8"));
    expect(parts.map((part) => part.headers.get("content-transfer-encoding"))).toEqual(["7bit", "7bit"]);
  });

  test("P4: a file that cannot be written is tried again", async () => {
    const outboxDir = join(temporaryDirectory(), "outbox");
    const { mailer, logLines } = openMailer({ outboxDir }, { retryDelaysMs: Array(200).fill(10) });
    rmSync(outboxDir, { recursive: true });
    mailer.send(letter());
    await eventually(() => logLines().length >= 1);
    expect(logLines()[0]).toMatchObject({ event: "mail delayed", error: "ENOENT" });
    mkdirSync(outboxDir);
    await eventually(() => mailer.stats().sent === 1);
    expect(readdirSync(outboxDir)).toHaveLength(1);
  });
});

describe("P4: what cannot go into a mail", () => {
  test.each([
    "ann@example.com\r\nBcc: eve@example.com",
    "ann\n@example.com",
    "ann@example.com\0",
    "ann<eve@example.com>",
    "änn@example.com",
    "ann",
    "",
  ])("P4: the recipient %j is refused", (to) => {
    const { mailer } = openMailer(smtp(9));
    expect(thrownBy(() => mailer.send(letter(to)))).toMatchObject({ type: "INCORRECTLY_FORMED", status: 400 });
    expect(mailer.stats().waiting).toBe(0);
  });

  test.each([
    ["eve,ann@example.com", '"eve,ann"@example.com'],
    ["eve:ann;@example.com", '"eve:ann;"@example.com'],
    ['"ann"@example.com', '"ann"@example.com'],
  ])("P4: %s is one recipient", async (to, onTheWire) => {
    const relay = await openRelay();
    const { mailer } = openMailer(smtp(relay.port));
    mailer.send(letter(to));
    await eventually(() => mailer.stats().sent === 1);
    expect(relay.received).toHaveLength(1);
    expect(relay.received[0]?.to).toEqual([onTheWire]);
    expect(parseMail(relay.received[0]?.content ?? "").headers.get("to")).toBe(`<${onTheWire}>`);
  });

  test("P4: a line break in a subject makes no header", async () => {
    const relay = await openRelay();
    const { mailer } = openMailer(smtp(relay.port));
    mailer.send({ ...letter(), subject: "Hello\r\nBcc: eve@example.com\r\n\r\nbody" });
    await eventually(() => mailer.stats().sent === 1);
    const { headers } = parseMail(relay.received[0]?.content ?? "");
    expect(relay.received[0]?.to).toEqual([ADDRESS]);
    expect(headers.has("bcc")).toBe(false);
    expect(headers.get("subject")).toBe("Hello Bcc: eve@example.com  body");
  });

  test("P4: settings that cannot work are refused with their name", () => {
    const file = join(mkdtempSync(join(tmpdir(), "entries-mail-")), "ca.pem");
    atEnd(() => rmSync(join(file, ".."), { recursive: true }));
    expect(() => openMailer(smtp(25, { caFile: file }))).toThrow(file);
    writeFileSync(file, "not a certificate");
    expect(() => openMailer(smtp(25, { caFile: file }))).toThrow("holds no certificate");
    expect(() => openMailer({ ...smtp(25), from: "nobody" })).toThrow("from must be an address like");
    expect(() => openMailer({ ...smtp(25), replyTo: "a@b.c\nBcc: d@e.f" })).toThrow("replyTo must be an address like");
    expect(() => openMailer({})).toThrow("outboxDir");
  });
});

describe("A7: the letter with a passcode", () => {
  test("A7: it says how long the code is valid, in whole minutes, and that nobody asks for it", () => {
    const { subject, text, html, usefulForMs } = otpLetter({ to: ADDRESS, otp: OTP, lifetime_mins: 10.9 });
    expect(subject).toContain("one-time passcode");
    expect(subject).not.toContain("0123");
    for (const part of [text, html]) {
      expect(part).toContain("valid for 10 minutes");
      expect(part).toContain("never ask for this code by phone or by e-mail");
      expect(part).toContain("Entries App");
    }
    expect(usefulForMs).toBe(10.9 * 60_000);
    expect(otpLetter({ to: ADDRESS, otp: OTP, lifetime_mins: 1 }).text).toContain("valid for 1 minute ");
  });

  test("A7: its HTML shows the code in fixed width, selected as one, and loads nothing", () => {
    const { html } = letter();
    const code = /<code style="([^"]*)"\s*>([^<]*)<\/code>/.exec(html);
    expect(code?.[2]).toBe("0123 4567");
    expect(code?.[1]).toContain("monospace");
    expect(code?.[1]).toContain("user-select:all");
    expect(html).not.toMatch(/<(img|link|script|style|a)\b|url\(|https?:/i);
    expect(html).toContain('<meta name="color-scheme" content="light dark">');
    expect(html).toContain('<meta name="viewport"');
  });

  test("P4: a value cannot become markup", () => {
    expect(escapeHtml(`<a href="x" title='y'>&amp;</a>`)).not.toMatch(/[<>"']|&(?![a-z]+;|#x?[0-9a-f]+;)/);
    const { html } = otpLetter({ to: ADDRESS, otp: OTP, lifetime_mins: 10, app_name: "<script>alert(1)</script>" });
    expect(html).not.toContain("<script");
    expect(html).toContain("&lt;script&gt;");
  });
});
