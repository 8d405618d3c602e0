import { overloaded } from "./errors.ts";

export interface WorkQueueLimits {
  /** How many tasks run at a time. */
  parallel: number;
  /** How many may wait. */
  waitingMax: number;
  /** How long one may wait, in milliseconds; without end unless given. */
  waitMs?: number;
  /** What the client is told when there is no room, or when it has waited for too long. */
  refusal: string;
  /** What a client should wait then. */
  retryAfterSecs: number;
}

interface Waiter {
  start: () => void;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** Runs a bounded number of tasks at a time, lets a bounded number wait, in the order in which they came, and refuses the rest. */
export class WorkQueue {
  readonly #limits: WorkQueueLimits;
  readonly #waiting = new Set<Waiter>();
  #running = 0;

  constructor(limits: WorkQueueLimits) {
    this.#limits = limits;
  }

  /** @throws ApiError PREHANDLER 503 when the task has not begun, and what the task throws */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running < this.#limits.parallel) this.#running++;
    else await this.#turn();
    try {
      return await task();
    } finally {
      this.#startNext();
    }
  }

  /** Tasks that run or wait. */
  get pending(): number {
    return this.#running + this.#waiting.size;
  }

  /** Those of them that run. */
  get running(): number {
    return this.#running;
  }

  /** Waits for a task to end, whose place is taken over. */
  #turn(): Promise<void> {
    const { waitingMax, waitMs, refusal, retryAfterSecs } = this.#limits;
    if (this.#waiting.size >= waitingMax) throw overloaded(refusal, retryAfterSecs);
    return new Promise((start, reject) => {
      const giveUp = () => {
        this.#waiting.delete(waiter);
        reject(overloaded(refusal, retryAfterSecs));
      };
      const waiter: Waiter = { start, timer: waitMs === undefined ? undefined : setTimeout(giveUp, waitMs) };
      this.#waiting.add(waiter);
    });
  }

  #startNext(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#running--;
      return;
    }
    this.#waiting.delete(next);
    clearTimeout(next.timer);
    next.start();
  }
}
