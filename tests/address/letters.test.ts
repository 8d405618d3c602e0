/** The two letters that a new address can get (decision A10). */
import { describe, expect, test } from "bun:test";
import { addressTakenLetter, emailChangeLetter } from "../../src/mail/accountLetters.ts";

const TO = "ann@example.com";
const LINK = `https://entries.example.org/account/email?token=${"Ab-_".repeat(100)}%3D%3D`;
const LETTERS = [
  emailChangeLetter({ to: TO, link: LINK, lifetime_hours: 24 }),
  emailChangeLetter({ to: TO, link: LINK, lifetime_hours: 1, app_name: "<b>Budget</b>" }),
  addressTakenLetter({ to: TO, app_name: "<b>Budget</b>" }),
];

describe("letters to a new address", () => {
  test("the link stands whole, on a line of its own, and as a link in HTML", () => {
    const [letter] = LETTERS;
    expect(letter?.text.split("\n")).toContain(LINK);
    expect(letter?.html).toContain(`<a href="${LINK}" rel="nofollow">${LINK}</a>`);
  });

  test("what is in a link cannot break out of its attribute", () => {
    const { html } = emailChangeLetter({ to: TO, link: `https://x/"><script>`, lifetime_hours: 1 });
    expect(html).toContain("https://x/&quot;&gt;&lt;script&gt;");
    expect(html).not.toContain("<script>");
  });

  test("the lifetime is said in hours, and the letter is of no use afterwards", () => {
    expect(LETTERS[0]?.text).toContain("for 24 hours");
    expect(LETTERS[1]?.text).toContain("for 1 hour,");
    expect(LETTERS[1]?.usefulForMs).toBe(3_600_000);
  });

  test("both parts say the same; names are escaped; lines but the link's are short and ASCII", () => {
    for (const { to, subject, text, html } of LETTERS) {
      expect(to).toBe(TO);
      expect(subject).toMatch(/^[\x20-\x7e]+$/);
      const lines = text.split("\n").filter((line) => line !== LINK);
      for (const line of lines) expect(line).toMatch(/^[\x20-\x7e]{0,77}$/);
      expect(html).not.toContain("<b>");
      const shown = (part: string) => part.replace(/\s+/g, " ");
      for (const line of lines.filter((one) => one !== "")) {
        expect(shown(html)).toContain(shown(Bun.escapeHTML(line)));
      }
    }
  });

  test("S4: the letter about a taken address has no link", () => {
    const { text, html } = addressTakenLetter({ to: TO });
    expect(text + html).not.toMatch(/href|https?:|token/);
  });
});
