import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { readBudget } from "./budget.ts";
import { parseCsv } from "./csv.ts";

describe("the CSV reader of the demo", () => {
  test("reads quotes, commas and line breaks in fields, empty fields, and every kind of line end", () => {
    expect(parseCsv('a,b\r\n"x, ""y""","1\n2"\n,\r\n"",ü🎂')).toEqual([
      ["a", "b"],
      ['x, "y"', "1\n2"],
      ["", ""],
      ["", "ü🎂"],
    ]);
    expect(parseCsv("\uFEFFa\nb\n")).toEqual([["a"], ["b"]]);
    expect(parseCsv("a,")).toEqual([["a", ""]]);
    expect(parseCsv("")).toEqual([]);
  });

  test("refuses what is damaged, and says where", () => {
    expect(() => parseCsv('a,b\nc,"d')).toThrow("record 2: a quote is out of place");
    expect(() => parseCsv('a\nb\n"c"d')).toThrow("record 3: a quote is out of place");
    expect(() => parseCsv('a\nb"c')).toThrow("record 2: a quote is out of place");
    expect(() => parseCsv("a,b\nc")).toThrow("record 2 has 1 fields instead of 2");
  });

  test("finds a whole budget in the file of the demo", async () => {
    const rows = await readBudget(join(import.meta.dir, "budget.csv"));
    expect(rows.length).toBeGreaterThanOrEqual(2_000);
    expect(new Set(rows.map(({ category }) => category)).size).toBeGreaterThanOrEqual(10);
    expect(rows.some(({ note }) => note.includes("\n") && note.includes('"'))).toBe(true);
    expect(rows.some(({ payee }) => payee.includes(","))).toBe(true);
    expect(rows.some(({ note }) => /\p{Emoji_Presentation}/u.test(note))).toBe(true);
  });
});
