/** How fast people sign in, compared with nothing but hashing, and how others fare meanwhile. */
import type { Account } from "./load.ts";
import { type Figure, median, medianRatio, percentile } from "./report.ts";
import type { Worker } from "./worker.ts";

const ROUNDS = 5;
const TIMES = 48;
const WARM_UP_TIMES = 8;
/** The server's defaults. */
const COST = { memoryKib: 32_768, iterations: 4 };

export interface SignInBench {
  port: number;
  /** One connection signs in each of them. */
  accounts: Account[];
  load: Worker;
  bare: Worker;
}

export async function measureSignIns({ port, accounts, load, bare }: SignInBench): Promise<Figure[]> {
  const viaServer = (times: number) => load.run("signIn", { port, accounts, times });
  const justHashing = async (times: number) => {
    const { perSecond } = await bare.run("verifyPasswords", { ...COST, parallel: accounts.length, times });
    return perSecond;
  };
  await viaServer(WARM_UP_TIMES);
  await justHashing(WARM_UP_TIMES);

  const server: number[] = [];
  const hashing: number[] = [];
  const heartbeats: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const { perSecond, heartbeatsMs } = await viaServer(TIMES);
    server.push(perSecond);
    heartbeats.push(...heartbeatsMs);
    hashing.push(await justHashing(TIMES));
  }
  const [rate, bareRate] = [server, hashing].map((rates) => median(rates).toFixed(1));
  const [p50, worst] = [0.5, 1].map((share) => percentile(heartbeats, share).toFixed(1));
  return [
    {
      name: `sign-ins, ${accounts.length} at a time`,
      value: medianRatio(server, hashing),
      unit: "of bare",
      target: { least: 0.9 },
      detail: `${rate} of ${bareRate} per second`,
    },
    {
      name: "p99 of a heartbeat meanwhile",
      value: percentile(heartbeats, 0.99),
      unit: "ms",
      target: { most: 50 },
      detail: `${heartbeats.length} heartbeats; p50 ${p50} ms, worst ${worst} ms`,
    },
  ];
}
