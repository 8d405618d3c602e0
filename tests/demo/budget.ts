/** The household budget of the demo, and how a client encrypts it: the server sees nothing but sealed blobs. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { parseCsv } from "./csv.ts";

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

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The key of a container, which only its members have. Blobs are AES-256-GCM: nonce, ciphertext, tag. */
export class ContainerKey {
  readonly #key = randomBytes(32);

  seal(value: unknown): Uint8Array {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    return Buffer.concat([nonce, cipher.update(JSON.stringify(value), "utf8"), cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws Error when one bit of the blob is not as it was sealed */
  open(blob: Uint8Array): unknown {
    const decipher = createDecipheriv("aes-256-gcm", this.#key, blob.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(blob.subarray(-TAG_BYTES));
    const text = Buffer.concat([decipher.update(blob.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    return JSON.parse(text.toString("utf8"));
  }
}
