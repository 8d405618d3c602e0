/** Keeps `contractRows.accounts.md` true: no row of the contract is missing, and every test that it names exists. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Line {
  row: string;
  file: string;
  /** A part of the test's title, as it is written in the source. */
  title: string;
  /** Like "A7: what changed"; empty where the contract holds as it is. */
  decision: string;
}

/** How many rows each part has, in the order of the table. */
const PARTS: [prefix: string, rows: number][] = [
  ["7.", 9],
  ["8.", 12],
  ["C", 24],
  ["S", 21],
  ["E", 6],
  ["15 tokens ", 16],
  ["15 sign-in ", 29],
  ["15 refresh ", 10],
  ["15 recovery ", 7],
  ["15 user ", 34],
  ["attack ", 24],
];
const DECISIONS = new Map([
  ["A", 16],
  ["W", 18],
  ["P", 13],
  ["C", 11],
]);

/** The title of each `test(…)` and `test.each(…)(…)`; not of those that are switched off or commented out. */
const TITLE = /\btest(?:\.(?:each|if|skipIf)\b[\s\S]*?\))?\s*\(\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1/g;

function read(name: string): string | undefined {
  try {
    return readFileSync(join(import.meta.dir, name), "utf8");
  } catch {
    return undefined;
  }
}

/** The tables' lines but for their heads, each split at its bars. */
function parse(text: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("|") && !/^\| *(?:-+|Row) *\|/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));
}

function lineOf([, row = "", , file = "", title = "", decision = ""]: readonly string[]): Line {
  return { row, file, title, decision };
}

/** @returns what is wrong with a line, beginning with its row */
function problemsOf({ row, file, title, decision }: Line): string[] {
  const problems: string[] = [];
  if (decision !== "") {
    const [, letter = "", number = ""] = /^([AWPC])(\d+): \S/.exec(decision) ?? [];
    const isKnown = Number(number) >= 1 && Number(number) <= (DECISIONS.get(letter) ?? 0);
    if (!isKnown) problems.push(`${row}: there is no decision like ${JSON.stringify(decision)}`);
  }
  if (file === "" && title === "") {
    if (decision === "") problems.push(`${row}: neither a test nor a decision`);
    return problems;
  }
  const source = read(file)?.replace(/^\s*\/\/.*$/gm, "");
  if (source === undefined) return [...problems, `${row}: there is no ${file}`];
  const found = [...source.matchAll(TITLE)].filter(([, , text = ""]) => title !== "" && text.includes(title));
  if (found.length !== 1) problems.push(`${row}: ${found.length} tests in ${file} have ${JSON.stringify(title)}`);
  return problems;
}

describe("the rows of accounts.md and the attacks of issue 4", () => {
  const cells = parse(read("contractRows.accounts.md") ?? "");
  const lines = cells.map(lineOf);

  test("every line has five cells", () => {
    expect(cells.filter(({ length }) => length !== 7).map((line) => line.join("|"))).toEqual([]);
  });

  test("no row is missing, none is unknown, and they are in order", () => {
    const expected = PARTS.flatMap(([prefix, rows]) =>
      Array.from({ length: rows }, (_, index) => prefix + (index + 1)),
    );
    expect([...new Set(lines.map(({ row }) => row))]).toEqual(expected);
  });

  test("every line names a test that exists, or the decision that replaced it", () => {
    expect(lines.flatMap(problemsOf)).toEqual([]);
  });

  test("a test that is gone, a title that fits two tests, and a decision that does not exist are told", () => {
    const good: Line = {
      row: "7.1",
      file: "contractRows.accounts.test.ts",
      title: "every line has five",
      decision: "",
    };
    const spoilt: [Partial<Line>, RegExp][] = [
      [{ title: "every line has six" }, /^7\.1: 0 tests in/],
      [{ title: "every line" }, /^7\.1: 2 tests in/],
      [{ title: "" }, /^7\.1: 0 tests in/],
      [{ file: "auth/nothing.test.ts" }, /^7\.1: there is no auth/],
      [{ file: "", title: "" }, /^7\.1: neither/],
      [{ decision: "A17: no" }, /^7\.1: there is no decision/],
      [{ decision: "because" }, /^7\.1: there is no decision/],
    ];
    expect(problemsOf(good)).toEqual([]);
    for (const [change, problem] of spoilt) {
      expect(problemsOf({ ...good, ...change })).toEqual([expect.stringMatching(problem)]);
    }
  });
});
