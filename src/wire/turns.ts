import { setImmediate as nextTurn } from "node:timers/promises";
import { Refusal } from "./refusal.ts";

/** Long enough that pausing costs nothing, short enough that nobody notices. */
const TURN_MS = 5;

/** Long work that lets others have their turn now and then. One per piece of work. */
export class Turns {
  private endsAt: number;
  private steps = 0;

  /**
   * @param stepsMax a body with more elements is refused, before it fills the memory
   * @param turnMs only tests give another one
   */
  constructor(
    private readonly stepsMax = Number.POSITIVE_INFINITY,
    private readonly turnMs = TURN_MS,
  ) {
    this.endsAt = performance.now() + turnMs;
  }

  /** Waits for others when a turn is over. Called between two steps. @throws Refusal TOO_MANY_REQUESTED */
  async step(): Promise<void> {
    this.steps++;
    if (this.steps > this.stepsMax) {
      throw new Refusal("TOO_MANY_REQUESTED", `has more elements than the ${this.stepsMax} that a request may have`);
    }
    if (performance.now() < this.endsAt) return;
    await nextTurn();
    this.endsAt = performance.now() + this.turnMs;
  }
}
