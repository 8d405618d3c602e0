/**
 * A container as containers.md and the decisions describe it, in memory: tells what each request must be answered and
 * what a fetch must show afterwards. It knows nothing of SQL.
 */
import type { ErrorType } from "../../src/errors.ts";

export interface ModelRow {
  id: string;
  /** Hex. */
  blob: string;
  /** Undefined after a delete: then it is random, and learned from the next fetch. */
  nonce: bigint | undefined;
  isDeleted: boolean;
}

export interface ModelEntry extends ModelRow {
  category_id: string | undefined;
}

export type Outcome = ErrorType | "ok";

export interface NewBlob {
  blob: string;
  nonce: bigint;
}

export class ContainerModel {
  readonly categories = new Map<string, ModelRow>();
  readonly entries = new Map<string, ModelEntry>();
  /** Ids of the rows that the last request changed: exactly these get new sequence numbers. */
  changed: string[] = [];

  constructor(
    readonly own: ModelRow,
    readonly entriesMax: number,
    readonly categoriesMax: number,
  ) {}

  get liveEntries(): number {
    return liveIn(this.entries);
  }

  get liveCategories(): number {
    return liveIn(this.categories);
  }

  createCategory(id: () => string, { blob, nonce }: NewBlob): Outcome {
    this.changed = [];
    if (this.liveCategories >= this.categoriesMax) return "TOO_MANY_REQUESTED";
    this.categories.set(id(), { id: id(), blob, nonce, isDeleted: false });
    this.changed = [id()];
    return "ok";
  }

  createEntry(id: () => string, { blob, nonce }: NewBlob, category_id: string | undefined): Outcome {
    this.changed = [];
    if (!this.#isUsable(category_id)) return "FOREIGN_KEY_DOES_NOT_EXIST";
    if (this.liveEntries >= this.entriesMax) return "TOO_MANY_REQUESTED";
    this.entries.set(id(), { id: id(), blob, nonce, isDeleted: false, category_id });
    this.changed = [id()];
    return "ok";
  }

  createBoth(ids: () => { entry_id: string; category_id: string }, entry: NewBlob, category: NewBlob): Outcome {
    this.changed = [];
    if (this.liveEntries >= this.entriesMax) return "TOO_MANY_REQUESTED";
    if (this.liveCategories >= this.categoriesMax) return "TOO_MANY_REQUESTED";
    const { entry_id, category_id } = ids();
    this.createCategory(() => category_id, category);
    this.createEntry(() => entry_id, entry, category_id);
    this.changed = [entry_id, category_id];
    return "ok";
  }

  replaceContainer(expected: bigint, { blob, nonce }: NewBlob): Outcome {
    this.changed = [];
    if (this.own.nonce !== expected) return "OUT_OF_DATE";
    Object.assign(this.own, { blob, nonce });
    this.changed = [this.own.id];
    return "ok";
  }

  replaceCategory(id: string, expected: bigint, { blob, nonce }: NewBlob): Outcome {
    this.changed = [];
    const row = this.categories.get(id);
    if (!row) return "CATEGORY_DOES_NOT_EXIST";
    if (row.nonce !== expected) return "OUT_OF_DATE";
    if (row.isDeleted && this.liveCategories >= this.categoriesMax) return "TOO_MANY_REQUESTED";
    Object.assign(row, { blob, nonce, isDeleted: false });
    this.changed = [id];
    return "ok";
  }

  replaceEntry(id: string, expected: bigint, { blob, nonce }: NewBlob, category_id: string | undefined): Outcome {
    this.changed = [];
    const row = this.entries.get(id);
    if (!row) return "ENTRY_DOES_NOT_EXIST";
    if (row.nonce !== expected) return "OUT_OF_DATE";
    if (!this.#isUsable(category_id)) return "FOREIGN_KEY_DOES_NOT_EXIST";
    if (row.isDeleted && this.liveEntries >= this.entriesMax) return "TOO_MANY_REQUESTED";
    Object.assign(row, { blob, nonce, isDeleted: false, category_id });
    this.changed = [id];
    return "ok";
  }

  deleteEntry(id: string): Outcome {
    this.changed = [];
    const row = this.entries.get(id);
    if (row && !row.isDeleted) {
      Object.assign(row, { blob: "", nonce: undefined, isDeleted: true });
      this.changed = [id];
    }
    return "ok";
  }

  deleteCategory(id: string): Outcome {
    this.changed = [];
    const row = this.categories.get(id);
    if (row && !row.isDeleted) {
      Object.assign(row, { blob: "", nonce: undefined, isDeleted: true });
      this.changed.push(id);
    }
    for (const entry of this.entries.values()) {
      if (entry.category_id !== id) continue;
      entry.category_id = undefined;
      this.changed.push(entry.id);
    }
    return "ok";
  }

  #isUsable(category_id: string | undefined): boolean {
    return category_id === undefined || this.categories.get(category_id)?.isDeleted === false;
  }
}

function liveIn(rows: ReadonlyMap<string, ModelRow>): number {
  return [...rows.values()].filter(({ isDeleted }) => !isDeleted).length;
}
