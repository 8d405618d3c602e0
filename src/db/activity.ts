/** What the statements of a pool are doing: how many are under way, how long they wait and take. */
import { overloaded } from "../errors.ts";
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

/** How long statements may wait for a connection, and how many of them (see Patience). */
export interface WaitLimits {
  waitSecs: number;
  waitingMax: number;
}

/** How often the statements that wait are looked at. */
const LOOK_EVERY_MS = 250;
/** What a client should wait when too many statements wait already. */
const RETRY_AFTER_SECS = 2;

interface WaitingStatement {
  calledAt: number;
  giveUp: () => void;
}

export class PoolActivity {
  /** Seconds from a statement's call to its answer, those included that failed. */
  readonly durations = new Histogram(BOUNDS_SECS);
  /** Seconds until a connection took it. Connections take statements before they have answered the previous ones. */
  readonly waits = new Histogram(BOUNDS_SECS);
  readonly #limits: WaitLimits | undefined;
  #underWay = 0;
  /** The one that has waited longest comes first. */
  readonly #waiting = new Set<WaitingStatement>();
  #nextLook: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param connectionsMax of the pool
   * @param limits statements wait without end unless given
   */
  constructor(
    readonly connectionsMax: number,
    limits?: WaitLimits,
  ) {
    this.#limits = limits;
  }

  /** Statements that are not answered yet. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Those of them that no connection has taken yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * @param giveUp makes a statement fail that has waited for too long; it is called once at most
   * @throws ApiError PREHANDLER 503 when too many wait already
   */
  begin(giveUp: () => void): StatementTimer {
    if (this.#limits && this.#waiting.size >= this.#limits.waitingMax) {
      throw overloaded("Too many requests wait for the database; try again soon.", RETRY_AFTER_SECS);
    }
    const calledAt = performance.now();
    const statement = { calledAt, giveUp };
    this.#underWay++;
    this.#waiting.add(statement);
    if (this.#limits) this.#nextLook ??= setTimeout(() => this.#look(), LOOK_EVERY_MS);
    const secsSinceCall = () => (performance.now() - calledAt) / 1000;
    return {
      taken: () => {
        if (this.#waiting.delete(statement)) this.waits.add(secsSinceCall());
      },
      done: () => {
        this.#underWay--;
        this.#waiting.delete(statement);
        this.durations.add(secsSinceCall());
      },
    };
  }

  /** Gives up those that have waited for too long. */
  #look(): void {
    this.#nextLook = undefined;
    const latest = performance.now() - 1000 * (this.#limits?.waitSecs ?? Number.POSITIVE_INFINITY);
    for (const statement of this.#waiting) {
      if (statement.calledAt > latest) break;
      this.#waiting.delete(statement);
      statement.giveUp();
    }
    if (this.#waiting.size > 0) this.#nextLook = setTimeout(() => this.#look(), LOOK_EVERY_MS);
  }
}
