/** What the statements of a pool are doing: how many are under way, how long they wait and take. */
import { Histogram } from "../histogram.ts";

/** Bounds in seconds. A statement by key takes a fraction of a millisecond, a large read some tens of them. */
const BOUNDS_SECS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** A statement from its call to its answer. */
export interface StatementTimer {
  /** A connection has taken it. */
  taken(): void;
  /** It was answered, well or not. */
  done(): void;
}

export class PoolActivity {
  /** Seconds from a statement's call to its answer, those included that failed. */
  readonly durations = new Histogram(BOUNDS_SECS);
  /** Seconds until a connection took it. Connections take statements before they have answered the previous ones. */
  readonly waits = new Histogram(BOUNDS_SECS);
  #underWay = 0;
  #waiting = 0;

  /** @param connectionsMax of the pool */
  constructor(readonly connectionsMax: number) {}

  /** Statements that are not answered yet. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Those of them that no connection has taken yet. */
  get waiting(): number {
    return this.#waiting;
  }

  begin(): StatementTimer {
    const calledAt = performance.now();
    let isTaken = false;
    this.#underWay++;
    this.#waiting++;
    const taken = () => {
      if (isTaken) return;
      isTaken = true;
      this.#waiting--;
      this.waits.add((performance.now() - calledAt) / 1000);
    };
    return {
      taken,
      done: () => {
        this.#underWay--;
        if (!isTaken) this.#waiting--;
        this.durations.add((performance.now() - calledAt) / 1000);
      },
    };
  }
}
