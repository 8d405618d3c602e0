/** What keeps the tables of the contract's rows true tells when they are not. */
import { expect, test } from "bun:test";
import { type Line, problemsOf } from "./support/contractRows.ts";

const GOOD: Line = { row: "7.1", file: "contractRows.test.ts", title: "finds nothing wrong", decision: "" };

test("a line with a test that exists: finds nothing wrong", () => {
  expect(problemsOf(GOOD)).toEqual([]);
  expect(problemsOf({ ...GOOD, decision: "A16: it is so" })).toEqual([]);
  expect(problemsOf({ ...GOOD, file: "", title: "", decision: "C11: it is so" })).toEqual([]);
});

test.each<[Partial<Line>, RegExp]>([
  [{ title: "finds no such thing" }, /^7\.1: 0 tests in/],
  [{ title: "a line with" }, /^7\.1: 2 tests in/],
  [{ title: "" }, /^7\.1: 0 tests in/],
  [{ file: "auth/nothing.test.ts" }, /^7\.1: there is no auth/],
  [{ file: "", title: "" }, /^7\.1: neither/],
  [{ decision: "A17: no" }, /^7\.1: there is no decision/],
  [{ decision: "because" }, /^7\.1: there is no decision/],
])("a line with %j is told", (change, problem) => {
  expect(problemsOf({ ...GOOD, ...change })).toEqual([expect.stringMatching(problem)]);
});
