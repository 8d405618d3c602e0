/** Keeps the tables in tests/contractRows.*.md true: no row of the contract is missing, and every named test exists. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Rows that are numbered on from one, or from another number, behind a common prefix, like 7.1 to 7.9. */
export interface Part {
  prefix: string;
  last: number;
  /** 1 if left out. */
  first?: number;
}

export interface Line {
  row: string;
  file: string;
  /** A part of the test's title, as it is written in the source. */
  title: string;
  /** Like "A7: what changed"; empty where the contract holds as it is. */
  decision: string;
}

const TESTS = join(import.meta.dir, "..");

/** How many decisions there are of each letter. */
const DECISIONS = new Map([
  ["A", 16],
  ["W", 18],
  ["P", 13],
  ["C", 11],
]);

/** The title of each `test(…)` and `test.each(…)(…)`; not of those that are switched off or commented out. */
const TITLE = /\btest(?:\.(?:each|if|skipIf)\b[\s\S]*?\))?\s*\(\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1/g;

/**
 * Makes the tests of a table.
 *
 * @param table its file's name in the folder tests
 * @param parts the rows that it must have, in order
 */
export function testContractRows(table: string, parts: readonly Part[]): void {
  const cells = parse(read(table) ?? "");
  const lines = cells.map(lineOf);

  test("every line has five cells", () => {
    expect(cells.filter(({ length }) => length !== 7).map((line) => line.join("|"))).toEqual([]);
  });

  test("no row is missing, none is unknown, and they are in order", () => {
    expect([...new Set(lines.map(({ row }) => row))]).toEqual(parts.flatMap(rowsOf));
  });

  test("every line names a test that exists, or the decision that replaced it", () => {
    expect(lines.flatMap(problemsOf)).toEqual([]);
  });
}

/** @returns what is wrong with a line, beginning with its row */
export function problemsOf({ row, file, title, decision }: Line): string[] {
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
  const titles = titlesOf(file);
  if (titles === undefined) return [...problems, `${row}: there is no ${file}`];
  const found = titles.filter((text) => title !== "" && text.includes(title));
  if (found.length !== 1) problems.push(`${row}: ${found.length} tests in ${file} have ${JSON.stringify(title)}`);
  return problems;
}

function rowsOf({ prefix, last, first = 1 }: Part): string[] {
  return Array.from({ length: last - first + 1 }, (_, index) => prefix + (first + index));
}

/** The table's lines but for its heads, each split at its bars. */
function parse(text: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("|") && !/^\| *(?:-+|Row) *\|/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));
}

function lineOf([, row = "", , file = "", title = "", decision = ""]: readonly string[]): Line {
  return { row, file, title, decision };
}

function titlesOf(file: string): string[] | undefined {
  const source = read(file);
  if (source === undefined) return undefined;
  return [...source.replace(/^\s*\/\/.*$/gm, "").matchAll(TITLE)].map(([, , title = ""]) => title);
}

function read(name: string): string | undefined {
  try {
    return readFileSync(join(TESTS, name), "utf8");
  } catch {
    return undefined;
  }
}
