/** The chapter of the demo in which the server is killed in the middle of writes. */
import { Refused } from "../support/client.ts";
import type { BudgetRow } from "./budget.ts";
import { Deviation, demand } from "./demand.ts";
import type { Household } from "./household.ts";
import type { SeenEntry } from "./sealedRows.ts";
import { AT_ONCE, requireSame } from "./story.ts";

/** Rows that no CSV file holds. */
const FIRST_NEW_ROW = 1_000_000;

/** What a household's writers know after the server is gone. */
export interface Interrupted {
  household: Household;
  created: number;
  edited: number;
  /** Writes that were under way when it died, by row: they may have been stored or not. */
  unanswered: Map<number, BudgetRow>;
}

/**
 * Writes until the server is gone, half new entries and half edits, several at a time. Every acknowledged write is in
 * `household.expected`.
 *
 * @param onAcknowledged called after each acknowledged write
 * @param isKilled tells whether a missing answer is what the demo wants
 */
export async function writeUntilKilled(
  household: Household,
  onAcknowledged: () => void,
  isKilled: () => boolean,
): Promise<Interrupted> {
  const result: Interrupted = { household, created: 0, edited: 0, unanswered: new Map() };
  const entries = (await household.read(household.phone)).entries.values();
  let nextRow = FIRST_NEW_ROW;

  async function write(row: BudgetRow, send: () => Promise<void>): Promise<boolean> {
    try {
      await send();
    } catch (error) {
      const isAnswer = error instanceof Deviation || error instanceof Refused;
      if (isAnswer || !isKilled()) throw error;
      result.unanswered.set(row.row, row);
      return false;
    }
    onAcknowledged();
    return true;
  }

  async function creator(): Promise<void> {
    for (;;) {
      const row = newRow(nextRow++);
      if (!(await write(row, () => household.create(row)))) return;
      result.created++;
    }
  }

  async function editor(): Promise<void> {
    for (const entry of entries) {
      const row = { ...entry.row, note: `checked, ${entry.row.note}` };
      if (!(await write(row, () => household.edit(household.phone, entry, row)))) return;
      result.edited++;
    }
  }

  const writers = Array.from({ length: AT_ONCE }, (_, index) => (index % 2 === 0 ? creator() : editor()));
  await Promise.all(writers);
  return result;
}

function newRow(row: number): BudgetRow {
  return {
    row,
    date: "2026-01-02",
    payee: "Käsekuchen-Expreß",
    category: "Groceries",
    amount: "-12.30",
    note: `№ ${row}`,
  };
}

/**
 * Of the writes that got no answer, takes over those that were stored, so that the usual comparison holds again. A
 * write is stored whole or not at all.
 *
 * @returns how many had been stored
 */
export async function settleUnanswered({ household, unanswered }: Interrupted): Promise<number> {
  const { entries } = await household.read(household.laptop);
  let stored = 0;
  for (const row of unanswered.values()) {
    const found: SeenEntry | undefined = entries.get(row.row);
    const before = household.expected.get(row.row);
    demand(found !== undefined || before === undefined, `row ${row.row} is gone after the crash`);
    if (found === undefined || found.row.note === before?.note) continue;
    requireSame(found.row, row);
    household.expected.set(row.row, row);
    stored++;
  }
  return stored;
}
