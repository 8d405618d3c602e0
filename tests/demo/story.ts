/** The chapters of the demo that need no crash: storing a budget, editing it from two devices, reading it back. */
import type { Device } from "../support/client.ts";
import type { BudgetRow } from "./budget.ts";
import { demand } from "./demand.ts";
import type { Household, View } from "./household.ts";
import type { SeenEntry } from "./sealedRows.ts";

/** How many requests each device has under way at a time. */
export const AT_ONCE = 16;
const CONTESTS = 25;
const DELETED = 20;

/** Calls `work` for every item, a few at a time. Ends at the first failure. */
export async function inParallel<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items].values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Both devices edit at the same time, each its own entries. @returns how many edits */
export async function editFromTwoDevices(household: Household): Promise<number> {
  const { laptop, phone } = household;
  const [onLaptop, onPhone] = await Promise.all([household.read(laptop), household.read(phone)]);
  const laptopEdits = pick(onLaptop, (row) => row % 10 === 0);
  const phoneEdits = pick(onPhone, (row) => row % 10 === 5);
  await Promise.all([
    inParallel(laptopEdits, (entry) => household.edit(laptop, entry, { ...entry.row, amount: doubled(entry.row) })),
    inParallel(phoneEdits, (entry) => household.edit(phone, entry, { ...entry.row, category: "", note: "📱 später" })),
  ]);
  return laptopEdits.length + phoneEdits.length;
}

/** A device, and what it wants to change in every entry. */
interface Contestant {
  name: "laptop" | "phone";
  device: Device;
  change(row: BudgetRow): BudgetRow;
}

/**
 * Both devices edit the same entry at once, again and again: the laptop the payee, the phone the note. Exactly one may
 * win; the other must be told OUT_OF_DATE, and then gets its change in on top of the winner's.
 *
 * @returns who won how often
 */
export async function contest(household: Household): Promise<{ laptop: number; phone: number }> {
  const contestants: [Contestant, Contestant] = [
    { name: "laptop", device: household.laptop, change: (row) => ({ ...row, payee: `${row.payee} & Töchter` }) },
    { name: "phone", device: household.phone, change: (row) => ({ ...row, note: `${row.note} – paid back ✅` }) },
  ];
  const wins = { laptop: 0, phone: 0 };
  for (const entry of pick(await household.read(household.phone), (row) => row % 10 === 3).slice(0, CONTESTS)) {
    const [winner, loser] = await editAtOnce(household, entry, contestants);
    wins[winner.name]++;
    contestants.reverse(); // who sends first has a head start of some microseconds

    const current = (await household.read(loser.device)).entries.get(entry.row.row);
    demand(current !== undefined, `row ${entry.row.row} is gone after an edit`);
    requireSame(current.row, winner.change(entry.row));
    await household.edit(loser.device, current, loser.change(current.row));
  }
  return wins;
}

/** @returns winner and loser */
async function editAtOnce(
  household: Household,
  entry: SeenEntry,
  contestants: [Contestant, Contestant],
): Promise<[Contestant, Contestant]> {
  const [first, second] = contestants;
  const [ofFirst, ofSecond] = await Promise.all([
    household.replace(first.device, entry, first.change(entry.row)),
    household.replace(second.device, entry, second.change(entry.row)),
  ]);
  const firstWon = ofFirst.status === 200;
  demand(firstWon !== (ofSecond.status === 200), `of two edits at once ${firstWon ? "both" : "none"} were taken`);
  const { status, error } = firstWon ? ofSecond : ofFirst;
  demand(
    error?.err_type === "OUT_OF_DATE",
    `the slower of two edits got ${status} ${error?.err_type} instead of OUT_OF_DATE`,
  );
  return firstWon ? [first, second] : [second, first];
}

/** The laptop deletes some entries; the phone, which has not heard of it, must not bring one back. */
export async function deleteSome(household: Household): Promise<number> {
  const { laptop, phone } = household;
  const seen = pick(await household.read(phone), (row) => row % 10 === 7).slice(0, DELETED);
  await inParallel(seen, (entry) => household.delete(laptop, entry));
  for (const entry of seen) {
    const { status, error } = await household.replace(phone, entry, { ...entry.row, note: "still here?" });
    demand(
      error?.err_type === "OUT_OF_DATE",
      `an edit of a deleted entry was answered with ${status} ${error?.err_type} instead of OUT_OF_DATE`,
    );
  }
  return seen.length;
}

/** Reads everything and compares it with what must be there, row by row. @returns how many rows agree: all of them */
export async function compare(household: Household, device: Device): Promise<number> {
  const view = await household.read(device);
  const difference = differenceIn(view.entries, household.expected);
  demand(difference === undefined, String(difference));
  const { deleted } = household;
  demand(view.tombstones === deleted, `the server remembers ${view.tombstones} deleted entries instead of ${deleted}`);
  return household.expected.size;
}

/** The first row that is missing, not as it must be, or too many; undefined when there is none. */
export function differenceIn(
  entries: ReadonlyMap<number, SeenEntry>,
  expected: ReadonlyMap<number, BudgetRow>,
): string | undefined {
  for (const row of expected.values()) {
    const found = entries.get(row.row);
    if (found === undefined) return `row ${row.row} is not on the server`;
    const difference = differenceBetween(found.row, row);
    if (difference !== undefined) return difference;
  }
  const surplus = [...entries.keys()].find((row) => !expected.has(row));
  if (surplus === undefined) return undefined;
  return `row ${surplus} is on the server although nobody stored it or it was deleted`;
}

/** @throws Deviation naming the first field that differs */
export function requireSame(found: BudgetRow, expected: BudgetRow): void {
  const difference = differenceBetween(found, expected);
  demand(difference === undefined, String(difference));
}

function differenceBetween(found: BudgetRow, expected: BudgetRow): string | undefined {
  for (const key of Object.keys(expected) as (keyof BudgetRow)[]) {
    if (found[key] === expected[key]) continue;
    const [is, shouldBe] = [found[key], expected[key]].map((value) => JSON.stringify(value));
    return `${key} of row ${expected.row} came back as ${is} instead of ${shouldBe}`;
  }
  return undefined;
}

function pick({ entries }: View, wanted: (row: number) => boolean): SeenEntry[] {
  return [...entries.values()].filter(({ row }) => wanted(row.row));
}

/** Twice the amount, exactly. */
function doubled({ amount }: BudgetRow): string {
  const cents = 2n * BigInt(amount.replace(".", ""));
  const digits = String(cents < 0n ? -cents : cents).padStart(3, "0");
  return `${cents < 0n ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}
