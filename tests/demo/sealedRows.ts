/** How rows of the budget become entries: sealed, but for the category, whose id is beside the blob. */
import { randomBytes } from "node:crypto";
import type { Category, Entry } from "../../src/wire/common.ts";
import type { BudgetRow, ContainerKey } from "./budget.ts";
import { Deviation, demand } from "./demand.ts";

/** What is sealed in an entry. */
type SealedRow = Omit<BudgetRow, "category">;

/** An entry as a device sees it. */
export interface SeenEntry {
  id: string;
  version_nonce: bigint;
  row: BudgetRow;
}

/** @param categoryIds by name */
export function sealRow<Id>(key: ContainerKey, { category, ...rest }: BudgetRow, categoryIds: ReadonlyMap<string, Id>) {
  const category_id = category === "" ? undefined : categoryIds.get(category);
  demand(category === "" || category_id !== undefined, `there is no category ${category}`);
  return { encrypted_blob: key.seal(rest satisfies SealedRow), category_id };
}

export function sealName(key: ContainerKey, name: string): Uint8Array {
  return key.seal({ name });
}

/** The names of categories, by id. @throws Deviation */
export function openCategories(key: ContainerKey, categories: Iterable<Category>): Map<string, string> {
  return new Map([...categories].map(({ id, encrypted_blob }) => [id, nameIn(key, encrypted_blob)]));
}

/** Entries that are not deleted, by row. @throws Deviation for what is damaged or there twice */
export function openEntries(
  key: ContainerKey,
  alive: Iterable<Entry>,
  categories: ReadonlyMap<string, string>,
): Map<number, SeenEntry> {
  const entries = new Map<number, SeenEntry>();
  for (const { id, encrypted_blob, version_nonce, category_id } of alive) {
    const sealed = unseal(key, encrypted_blob) as SealedRow;
    const category = category_id === undefined ? "" : categories.get(category_id);
    demand(category !== undefined, `row ${sealed.row} is in a category that does not exist`);
    demand(!entries.has(sealed.row), `row ${sealed.row} is there twice`);
    entries.set(sealed.row, { id, version_nonce, row: { ...sealed, category } });
  }
  return entries;
}

export function randomVersion(): bigint {
  return randomBytes(8).readBigInt64LE();
}

function nameIn(key: ContainerKey, blob: Uint8Array): string {
  return (unseal(key, blob) as { name: string }).name;
}

function unseal(key: ContainerKey, blob: Uint8Array): unknown {
  try {
    return key.open(blob);
  } catch {
    throw new Deviation("a stored blob is not what was sent: it cannot be decrypted");
  }
}
