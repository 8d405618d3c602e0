/** Whether the server's memory stays as it is, however many requests it answers, and how fast the smallest ones are. */
import type { Figure } from "./report.ts";
import { type Site, signUp } from "./site.ts";
import { startWorker } from "./worker.ts";

const FEW_REQUESTS = 10_000;
const MANY_REQUESTS = 1_000_000;
const CONNECTIONS = 16;
const HEARTBEATS = 100_000;
const SETTLE_MS = 2_000;
const MIB = 1024 * 1024;

/** @param name of a data directory on which everything is stored and no server runs */
export async function measureMemory(site: Site, name: string): Promise<Figure[]> {
  const server = await site.start(name);
  const load = startWorker();
  try {
    const { accessToken } = await signUp(server.port, site.dataDir(name));
    const target = { port: server.port, accessToken, connections: CONNECTIONS };
    const residentAfter = async (requests: number) => {
      await load.run("askAnything", { ...target, requests });
      await Bun.sleep(SETTLE_MS);
      return server.residentBytes();
    };
    const few = await residentAfter(FEW_REQUESTS);
    const { perSecond } = await load.run("beat", { ...target, requests: HEARTBEATS });
    const many = await residentAfter(MANY_REQUESTS - FEW_REQUESTS - HEARTBEATS);
    return [
      {
        name: "heartbeats",
        value: perSecond,
        unit: "per second",
        target: { least: 10_000 },
        detail: `${HEARTBEATS} over ${CONNECTIONS} connections, one process`,
      },
      {
        name: "memory after a million requests, against ten thousand",
        value: many / few,
        unit: "times",
        target: { most: 1.2 },
        detail: `${(few / MIB).toFixed(1)} then ${(many / MIB).toFixed(1)} MiB; edits, heartbeats, refusals`,
      },
    ];
  } finally {
    load.stop();
    await server.stop();
  }
}
