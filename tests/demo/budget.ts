/** The household budget of the demo, and how a client encrypts it: the server sees nothing but sealed blobs. */
import { randomBytes } from "node:crypto";
import { parseCsv } from "./csv.ts";
import { open, seal } from "./secrets.ts";

/** One entry of the budget. Texts as in the file, amounts too, so that not a cent is rounded. */
export interface BudgetRow {
  /** Counted from 1; tells apart entries that are otherwise the same. */
  row: number;
  date: string;
  payee: string;
  /** Empty: none. */
  category: string;
  amount: string;
  note: string;
}

const COLUMNS = ["date", "payee", "category", "amount", "note"];

/** @throws Error when the file is not a budget in CSV */
export async function readBudget(path: string): Promise<BudgetRow[]> {
  const [header, ...records] = parseCsv(await Bun.file(path).text());
  if (header?.join() !== COLUMNS.join()) throw new Error(`${path} does not begin with ${COLUMNS.join()}`);
  return records.map(([date = "", payee = "", category = "", amount = "", note = ""], index) => {
    const isRow = /^\d{4}-\d\d-\d\d$/.test(date) && payee !== "" && /^-?\d+\.\d\d$/.test(amount);
    if (!isRow) throw new Error(`${path}: entry ${index + 1} has no date, payee or amount`);
    return { row: index + 1, date, payee, category, amount, note };
  });
}

const KEY_BYTES = 32;

/** The key of a container, which only its members have. Blobs are sealed JSON (secrets.ts). */
export class ContainerKey {
  /** @param bytes 32 of them, as a member hands them on */
  constructor(readonly bytes: Uint8Array = randomBytes(KEY_BYTES)) {}

  seal(value: unknown): Uint8Array {
    return seal(this.bytes, Buffer.from(JSON.stringify(value)));
  }

  /** @throws Error when one bit of the blob is not as it was sealed, or the key is another one */
  open(blob: Uint8Array): unknown {
    return JSON.parse(Buffer.from(open(this.bytes, blob)).toString());
  }
}
