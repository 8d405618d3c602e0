/**
 * Random histories of requests to one container, each answer and each fetch compared with a model of the contract:
 * W4 to W7, C6 and C11 together. A failure prints its seed and the shortest history that still fails.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import type { Container } from "../../src/container/messages.ts";
import type { Answer, Box, Device } from "../support/client.ts";
import {
  anyDevice,
  ENCODINGS,
  postCategory,
  postEntry,
  postEntryAndCategory,
  putCategory,
  putContainer,
  putEntry,
} from "../support/containerCalls.ts";
import {
  ContainerModel,
  type ModelEntry,
  type ModelRow,
  type NewBlob,
  type Outcome,
} from "../support/containerModel.ts";
import { expectHeadIsExact, headOf, sequencesOf } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const ENTRIES_MAX = 4;
const CATEGORIES_MAX = 3;
const HISTORIES = 60;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    ENTRIES_MAX_ENTRIES_PER_CONTAINER: String(ENTRIES_MAX),
    ENTRIES_MAX_CATEGORIES_PER_CONTAINER: String(CATEGORIES_MAX),
  });
});
afterAll(() => server.stop());

const STEPS = [
  "create entry",
  "create category",
  "create both",
  "edit container",
  "edit entry",
  "edit category",
  "delete entry",
  "delete category",
] as const;

interface Step {
  kind: (typeof STEPS)[number];
  /** Which of the rows so far, modulo their number. */
  row: number;
  category: number | undefined;
  isStale: boolean;
  /** The id, or the category's, is one of another container, or of none. */
  stranger: "entry" | "category" | "unknown" | undefined;
  blob: Uint8Array;
  nonce: bigint;
}

const anyNonce = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const anyStep: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...STEPS),
  row: fc.nat(20),
  category: fc.option(fc.nat(20), { nil: undefined }),
  isStale: fc.integer({ min: 0, max: 5 }).map((value) => value === 0),
  stranger: fc.integer({ min: 0, max: 29 }).map((value) => (["entry", "category", "unknown"] as const)[value]),
  blob: fc.uint8Array({ maxLength: 12 }),
  nonce: anyNonce,
});

/** A container of somebody else, whose ids must be as good as unknown. */
interface Elsewhere {
  entry_id: string;
  category_id: string;
}

class History {
  constructor(
    readonly devices: readonly [Device, Device],
    readonly box: Box,
    readonly model: ContainerModel,
    readonly elsewhere: Elsewhere,
  ) {}

  #turn = 0;

  #pick<Row extends ModelRow>(rows: Map<string, Row>, index: number): Row | undefined {
    return [...rows.values()][index % Math.max(rows.size, 1)];
  }

  #idOf(rows: Map<string, ModelRow>, kind: "entry" | "category", { row, stranger }: Step): string {
    if (stranger === kind) return kind === "entry" ? this.elsewhere.entry_id : this.elsewhere.category_id;
    return (stranger === "unknown" ? undefined : this.#pick(rows, row)?.id) ?? crypto.randomUUID();
  }

  #categoryOf({ category, stranger }: Step): string | undefined {
    if (category === undefined) return undefined;
    if (stranger === "category") return this.elsewhere.category_id;
    return this.#pick(this.model.categories, category)?.id ?? crypto.randomUUID();
  }

  /** Makes the request and returns its answer beside what the model says. */
  async run(step: Step): Promise<{ answer: Answer<unknown>; expected: Outcome }> {
    const { model, box } = this;
    const device = this.devices[this.#turn++ % 2 === 0 ? 0 : 1];
    const fresh: NewBlob = { blob: Buffer.from(step.blob).toString("hex"), nonce: step.nonce };
    const blob = { encrypted_blob: step.blob, version_nonce: step.nonce };
    const nonceOf = (row: ModelRow | undefined) => (row?.nonce ?? 0n) ^ (step.isStale ? 1n : 0n);
    const category_id = this.#categoryOf(step);
    const inCategory = category_id === undefined ? {} : { category_id };
    switch (step.kind) {
      case "create entry": {
        const answer = await postEntry(device, box, { ...blob, ...inCategory });
        return { answer, expected: model.createEntry(() => answer.value?.value ?? "", fresh, category_id) };
      }
      case "create category": {
        const answer = await postCategory(device, box, { value: step.blob, version_nonce: step.nonce });
        return { answer, expected: model.createCategory(() => answer.value?.value ?? "", fresh) };
      }
      case "create both": {
        const answer = await postEntryAndCategory(device, box, {
          entry_encrypted_blob: step.blob,
          entry_version_nonce: step.nonce,
          category_encrypted_blob: step.blob,
          category_version_nonce: ~step.nonce,
        });
        const ids = () => answer.value ?? { entry_id: "", category_id: "" };
        return { answer, expected: model.createBoth(ids, fresh, { ...fresh, nonce: ~step.nonce }) };
      }
      case "edit container": {
        const expected_previous_version_nonce = nonceOf(model.own);
        const answer = await putContainer(device, box, { ...blob, expected_previous_version_nonce });
        return { answer, expected: model.replaceContainer(expected_previous_version_nonce, fresh) };
      }
      case "edit entry": {
        const id = this.#idOf(model.entries, "entry", step);
        const expected_previous_version_nonce = nonceOf(model.entries.get(id));
        const answer = await putEntry(device, box, id, { ...blob, ...inCategory, expected_previous_version_nonce });
        return { answer, expected: model.replaceEntry(id, expected_previous_version_nonce, fresh, category_id) };
      }
      case "edit category": {
        const id = this.#idOf(model.categories, "category", step);
        const expected_previous_version_nonce = nonceOf(model.categories.get(id));
        const answer = await putCategory(device, box, id, { ...blob, expected_previous_version_nonce });
        return { answer, expected: model.replaceCategory(id, expected_previous_version_nonce, fresh) };
      }
      case "delete entry": {
        const id = this.#idOf(model.entries, "entry", step);
        return { answer: await device.deleteEntry(box, id), expected: model.deleteEntry(id) };
      }
      case "delete category": {
        const id = this.#idOf(model.categories, "category", step);
        return { answer: await device.deleteCategory(box, id), expected: model.deleteCategory(id) };
      }
    }
  }
}

/** What the contract says a fetch shows, times aside. A nonce that the server chose is taken from the answer. */
function shownBy(model: ContainerModel, shown: Container) {
  const inOrder = <Row extends ModelRow>(rows: Map<string, Row>) =>
    [...rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  for (const row of [...shown.entries, ...shown.categories]) {
    const known = model.entries.get(row.id) ?? model.categories.get(row.id);
    if (known) known.nonce ??= row.version_nonce;
  }
  return { ...model.own, categories: inOrder(model.categories), entries: inOrder(model.entries) };
}

function readable(container: Container) {
  const row = ({ id, encrypted_blob, version_nonce, deleted_at }: Container["entries"][number]): ModelRow => ({
    id,
    blob: Buffer.from(encrypted_blob).toString("hex"),
    nonce: version_nonce,
    isDeleted: deleted_at !== undefined,
  });
  return {
    id: container.id,
    blob: Buffer.from(container.encrypted_blob).toString("hex"),
    nonce: container.version_nonce,
    isDeleted: container.deleted_at !== undefined,
    categories: container.categories.map(row),
    entries: container.entries.map((entry): ModelEntry => ({ ...row(entry), category_id: entry.category_id })),
  };
}

/** 3.1 and W7: which times a change may touch. Rows that lost their category keep theirs. */
function expectTimes(before: Container, after: Container, changed: ReadonlySet<string>, lostCategory: Set<string>) {
  const timesOf = (container: Container) =>
    new Map([container, ...container.categories, ...container.entries].map((row) => [row.id, row]));
  const earlier = timesOf(before);
  for (const [id, row] of timesOf(after)) {
    const former = earlier.get(id);
    if (!former) continue;
    if (changed.has(id) && !lostCategory.has(id)) {
      expect(row.modified_timestamp).toBeGreaterThan(former.modified_timestamp);
      if (row.deleted_at !== undefined) expect(row.deleted_at).toBe(row.modified_timestamp);
    } else {
      expect([row.modified_timestamp, row.deleted_at]).toEqual([former.modified_timestamp, former.deleted_at]);
    }
  }
}

/** How often each kind of request had each outcome, so that the test shows what it has tried. */
const seen = new Map<string, number>();
const count = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1);

async function runHistory(steps: readonly Step[]): Promise<void> {
  const devices = [anyDevice(server, ENCODINGS[0]), anyDevice(server, ENCODINGS[1])] as const;
  const [device] = devices;
  const other = await device.createContainer();
  const elsewhere = (await postEntryAndCategory(device, other)).value;
  if (!elsewhere) throw new Error("the other container was not made");
  const box = await device.createContainer({ encrypted_blob: Buffer.from([7]), version_nonce: 1n });
  const own = { id: box.id, blob: "07", nonce: 1n, isDeleted: false };
  const model = new ContainerModel(own, ENTRIES_MAX, CATEGORIES_MAX);
  const history = new History(devices, box, model, elsewhere);
  const otherBefore = await device.read(other);

  let before = await device.read(box);
  let sequences = await sequencesOf(server.db, box.id);
  for (const step of steps) {
    const { last_sequence } = await headOf(server.db, box.id);
    const liveBefore = model.liveEntries + model.liveCategories;
    const { answer, expected } = await history.run(step);
    expect(answer.error?.err_type ?? "ok").toBe(expected);
    count(`${step.kind}: ${expected}`);
    if (step.kind.startsWith("edit") && model.liveEntries + model.liveCategories > liveBefore) count("revived");
    if (step.kind === "delete category" && model.changed.length > 1) count("lost a category");

    const after = await device.read(box);
    expect(shownBy(model, after)).toEqual(readable(after));
    const changed = new Set(model.changed);
    const lostCategory = new Set(step.kind === "delete category" ? after.entries.map(({ id }) => id) : []);
    expectTimes(before, after, changed, lostCategory);

    const numbers = await sequencesOf(server.db, box.id);
    const numbered = [...numbers].filter(([id, number]) => sequences.get(id) !== number);
    expect(new Set(numbered.map(([id]) => id))).toEqual(changed);
    for (const [, number] of numbered) expect(number).toBeGreaterThan(last_sequence);
    await expectHeadIsExact(server.db, box.id);
    expect(await headOf(server.db, box.id)).toMatchObject({
      last_sequence: last_sequence + BigInt(changed.size),
      live_entries: model.liveEntries,
      live_categories: model.liveCategories,
    });
    before = after;
    sequences = numbers;
  }
  expect(await device.read(other)).toEqual(otherBefore);
}

test(`C6, C11, W4 to W7: ${HISTORIES} random histories are answered and shown as the model says`, async () => {
  await fc.assert(fc.asyncProperty(fc.array(anyStep, { minLength: 15, maxLength: 30, size: "max" }), runHistory), {
    numRuns: HISTORIES,
    seed: 20_261_124,
    endOnFailure: false,
  });
});
