/**
 * Changes of one container wait for each other in the database, each on a connection. Here a few go there at a time, and
 * the others wait without a connection, so that one container that is busy for long does not keep all others from
 * being changed.
 */
import { WorkQueue } from "../workQueue.ts";

export interface ContainerWriteLimits {
  /** How many changes of one container go to the database at a time. */
  parallel: number;
  /** How many more may wait. */
  waitingMax: number;
  /** How long they may wait, in milliseconds. */
  waitMs: number;
}

/** How many may wait, and for how long: less than a client waits, together with what the database may take. */
export const WAITING_CHANGES = { waitingMax: 100, waitMs: 5_000 };

/** The containers that are being changed by this process. */
export class ContainerWrites {
  readonly #limits: ContainerWriteLimits;
  readonly #queues = new Map<string, WorkQueue>();

  constructor(limits: ContainerWriteLimits) {
    this.#limits = limits;
  }

  /** @throws ApiError PREHANDLER 503 when too many changes of the container wait, and what the change throws */
  async run<T>(container_id: string, change: () => Promise<T>): Promise<T> {
    let queue = this.#queues.get(container_id);
    if (!queue) {
      const refusal = "Too many changes at once in this container; try again.";
      queue = new WorkQueue({ ...this.#limits, refusal, retryAfterSecs: 1 });
      this.#queues.set(container_id, queue);
    }
    try {
      return await queue.run(change);
    } finally {
      if (queue.pending === 0) this.#queues.delete(container_id);
    }
  }

  /** Containers with changes that run or wait. */
  get busy(): number {
    return this.#queues.size;
  }
}
