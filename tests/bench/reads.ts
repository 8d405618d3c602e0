/** How long it takes to fetch many containers, compared with running the query and dropping its result. */
import type { Target } from "./load.ts";
import { type Figure, median, medianRatio } from "./report.ts";
import { CATEGORIES_EACH, READ } from "./stock.ts";
import type { Worker } from "./worker.ts";

const ROUNDS = 20;
const TIMES = 20;
/** Until compilers have seen enough. */
const WARM_UP_TIMES = 120;

export interface ReadBench {
  target: Target;
  socketPath: string;
  /** Size of the pool, the server's and the other. */
  connections: number;
  load: Worker;
  bare: Worker;
}

export async function measureReads({ target, socketPath, connections, load, bare }: ReadBench): Promise<Figure[]> {
  const viaServer = (times: number) => load.run("fetchContainers", { ...target, times });
  const viaPool = (times: number) => bare.run("queryContainers", { socketPath, connections, times });
  const { bytes } = await viaServer(WARM_UP_TIMES);
  const { rows } = await viaPool(WARM_UP_TIMES);
  const expectedRows = READ.containers * (1 + CATEGORIES_EACH + READ.entriesEach);
  if (rows !== expectedRows) throw new Error(`the query found ${rows} rows instead of ${expectedRows}`);

  const server: number[] = [];
  const pool: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    server.push(median((await viaServer(TIMES)).ms));
    pool.push(median((await viaPool(TIMES)).ms));
  }
  const [serverMs, poolMs] = [server, pool].map((times) => median(times).toFixed(1));
  const detail = `${serverMs} ms, bare ${poolMs} ms, for ${(bytes / 1e6).toFixed(2)} MB`;
  const name = `fetch of ${READ.containers} containers × ${READ.entriesEach} entries × 1 KB`;
  return [{ name, value: medianRatio(server, pool), unit: "times bare", target: { most: 1.5 }, detail }];
}
