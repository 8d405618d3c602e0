export interface Coalesced {
  add(id: string): void;
  /** Resolves when nothing is under way. */
  settled(): Promise<void>;
}

/**
 * Collects ids while `work` runs on those before, again and again until none is left: one run at a time, the first at
 * once.
 *
 * @param onFailure told what `work` throws; the ids of that run are forgotten
 */
export function coalesced(work: (ids: string[]) => Promise<unknown>, onFailure: (error: unknown) => void): Coalesced {
  let waiting = new Set<string>();
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    while (waiting.size > 0) {
      const ids = [...waiting];
      waiting = new Set();
      await work(ids).catch(onFailure);
    }
    running = undefined; // in the same turn as the look at what waits, so that nothing is added between
  }

  return {
    add(id) {
      waiting.add(id);
      running ??= run();
    },
    settled: () => running ?? Promise.resolve(),
  };
}
