/** How long a bulk upload takes, compared with inserting the same rows by postgres.js alone. */
import type { Db } from "../../src/db/query.ts";
import type { Target } from "./load.ts";
import { type Figure, median, medianRatio } from "./report.ts";
import { CATEGORIES_EACH } from "./stock.ts";
import { CONTAINERS, ENTRIES_EACH, type UploadTally } from "./uploads.ts";
import type { Worker } from "./worker.ts";

const ROUNDS = 12;
const WARM_UP_ROUNDS = 4;

export interface UploadBench {
  target: Target;
  socketPath: string;
  /** As the database's owner: an account does one bulk upload, so the rounds take that back. */
  db: Db;
  load: Worker;
  bare: Worker;
}

export async function measureBulkUpload({ target, socketPath, db, load, bare }: UploadBench): Promise<Figure[]> {
  const made: string[] = [];
  const timeOf = ({ ms, container_ids }: UploadTally) => {
    made.push(...container_ids);
    return ms;
  };
  async function viaServer(): Promise<number> {
    await db.unsafe("update user_flags set has_performed_bulk_upload = false");
    return timeOf(await load.run("bulkUpload", target));
  }
  const viaPool = async () => timeOf(await bare.run("insertInChunks", { socketPath }));

  const server: number[] = [];
  const pool: number[] = [];
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
    const [serverMs, poolMs] = [await viaServer(), await viaPool()];
    if (round < WARM_UP_ROUNDS) continue;
    server.push(serverMs);
    pool.push(poolMs);
  }
  await requireAllStored(db, made);
  await db.unsafe("delete from containers where id = any ($1::uuid[])", [made]);

  const [serverMs, poolMs] = [server, pool].map((times) => median(times).toFixed(0));
  return [
    {
      name: `bulk upload of ${CONTAINERS} containers × ${ENTRIES_EACH} entries × 1 KB`,
      value: medianRatio(server, pool),
      unit: "times bare",
      target: { most: 3 },
      detail: `${serverMs} ms, bare ${poolMs} ms`,
    },
  ];
}

async function requireAllStored(db: Db, container_ids: string[]): Promise<void> {
  const [row] = await db.unsafe(
    `select count(*)::int as containers, sum(live_entries)::int as entries, sum(live_categories)::int as categories
     from container_heads where container_id = any ($1::uuid[])`,
    [container_ids],
  );
  const count = container_ids.length;
  const isWhole =
    row?.containers === count && row.entries === count * ENTRIES_EACH && row.categories === count * CATEGORIES_EACH;
  if (!isWhole) throw new Error("not everything that was uploaded is stored");
}
