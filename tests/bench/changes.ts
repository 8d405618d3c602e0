/** What asking for changes costs: when there is nothing new, and when much is stored of which little has changed. */
import type { Db } from "../../src/db/query.ts";
import type { Target } from "./load.ts";
import type { StockCursor } from "./polls.ts";
import { type Figure, median, medianRatio } from "./report.ts";
import { BLOB_BYTES, CATEGORIES_EACH, containerNumbers, idOf, READ, type Shape, store } from "./stock.ts";
import type { Worker } from "./worker.ts";

const ROUNDS = 20;
const TIMES = 100;
/** Until compilers have seen enough. */
const WARM_UP_TIMES = 2_000;

const CHANGED = 10;
/** Entries of the containers with little and with much in them; each is the only one of its shape. */
const SIZES = [100, 10_000, 100_000] as const;
const FIRST_GROWN = 3_000;

export interface ChangesBench {
  target: Target;
  socketPath: string;
  /** Size of the pool, the server's and the other. */
  connections: number;
  db: Db;
  load: Worker;
  bare: Worker;
}

export async function measureChanges(bench: ChangesBench): Promise<Figure[]> {
  return [...(await measureNothingNew(bench)), await measureGrowth(bench)];
}

async function measureNothingNew({ target, socketPath, connections, load, bare }: ChangesBench): Promise<Figure[]> {
  const last = BigInt(1 + CATEGORIES_EACH + READ.entriesEach);
  const cursors = containerNumbers(READ).map((container) => ({ container, since: last }));
  const viaServer = (times: number) => load.run("askForChanges", { ...target, cursors, times });
  const viaPool = (times: number) => bare.run("readAndLookUp", { socketPath, connections, cursors, times });
  const asked = await viaServer(WARM_UP_TIMES);
  const first = await viaPool(WARM_UP_TIMES);
  const counts = [asked.containers, first.read.containers, first.bare.containers];
  if (asked.entries !== 0 || counts.some((count) => count !== cursors.length)) {
    throw new Error("there is something new, or containers are missing");
  }
  const [http, read, pool]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < ROUNDS; round++) {
    http.push(median((await viaServer(TIMES)).ms));
    const alone = await viaPool(TIMES);
    read.push(median(alone.read.ms));
    pool.push(median(alone.bare.ms));
  }
  const [readMs, poolMs] = [read, pool].map((times) => median(times).toFixed(2));
  const name = `changes of ${READ.containers} containers, nothing new`;
  return [
    {
      name: `${name}: the round trip`,
      value: medianRatio(read, pool),
      unit: "times bare",
      target: { most: 1.3 },
      detail: `${readMs} ms, bare ${poolMs} ms: their keys and numbers by index`,
    },
    {
      name: `${name}: over HTTP`,
      value: median(http),
      unit: "ms",
      detail: `${medianRatio(http, pool).toFixed(2)} times the bare query; two processes, and ${READ.containers} tokens`,
    },
  ];
}

async function measureGrowth({ target, db, load }: ChangesBench): Promise<Figure> {
  const cursors = await Promise.all(SIZES.map((entries, index) => storeGrown(db, FIRST_GROWN + index, entries)));
  await db.unsafe("vacuum analyze entries");
  const ask = (cursor: StockCursor, times: number) =>
    load.run("askForChanges", { ...target, cursors: [cursor], times });
  for (const cursor of cursors) {
    const { entries } = await ask(cursor, WARM_UP_TIMES);
    if (entries !== CHANGED) throw new Error(`${entries} entries came instead of ${CHANGED}`);
  }
  const byRound: number[][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const row: number[] = [];
    for (const cursor of cursors) row.push(median((await ask(cursor, TIMES)).ms));
    byRound.push(row);
  }
  const ofSize = (index: number) => byRound.map((row) => row[index] ?? Number.NaN);
  const times = SIZES.map((size, index) => `${median(ofSize(index)).toFixed(2)} ms of ${size.toLocaleString("en")}`);
  return {
    name: `changes of ${CHANGED} entries among ${SIZES[2].toLocaleString("en")}`,
    value: medianRatio(ofSize(2), ofSize(0)),
    unit: `times among ${SIZES[0]}`,
    target: { most: 1.5 },
    detail: times.join(", "),
  };
}

/** Stores a container with so many entries, numbered as if they had come one by one. @returns a cursor before the last few */
async function storeGrown(db: Db, container: number, entries: number): Promise<StockCursor> {
  const shape: Shape = { first: container, containers: 1, entriesEach: 0 };
  await store(db, shape);
  const [row] = await db<{ container_id: string; base: bigint }[]>`
    update container_heads set last_sequence = last_sequence + ${entries}
    where container_id = ${idOf("container", container)}
    returning container_id, last_sequence - ${entries} as base`;
  if (!row) throw new Error("the container was not stored");
  await db`
    insert into entries (id, container_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
    select
      gen_random_uuid(), ${row.container_id}, decode(repeat(md5(number::text), ${BLOB_BYTES / 16}), 'hex'), 1,
      timezone('utc', now()), ${row.base} + number
    from generate_series(1, ${entries}::integer) as number`;
  return { container, since: row.base + BigInt(entries - CHANGED) };
}
