import { Histogram } from "../histogram.ts";
import type { Endpoint } from "../http/endpoint.ts";

/** Bounds in seconds: from a heartbeat to a sign-in that waits for its turn. */
const BOUNDS_SECS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** What a request for no route may be counted under: a method is any text that the client likes. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]);

export interface RouteTally {
  method: string;
  /** The route's pattern, never a URL; "unknown" for a request that no route took. */
  route: string;
  /** Requests by the status of their answer. */
  statuses: Map<number, number>;
  /** Seconds until the answer began. */
  durations: Histogram;
}

/** Counts the requests of one process, in well under a microsecond each. */
export class RequestTally {
  readonly #tallies = new Map<Endpoint | string, RouteTally>();

  /** @param route undefined when no route took the request */
  count(route: Endpoint | undefined, method: string, status: number, durationMs: number): void {
    const key = route ?? (METHODS.has(method) ? method : "other");
    const tally = this.#tallies.get(key) ?? this.#begin(key);
    tally.statuses.set(status, (tally.statuses.get(status) ?? 0) + 1);
    tally.durations.add(durationMs / 1000);
  }

  [Symbol.iterator](): Iterator<RouteTally> {
    return this.#tallies.values();
  }

  #begin(key: Endpoint | string): RouteTally {
    const { method, path } = typeof key === "string" ? { method: key, path: "unknown" } : key.spec;
    const tally = { method, route: path, statuses: new Map(), durations: new Histogram(BOUNDS_SECS) };
    this.#tallies.set(key, tally);
    return tally;
  }
}
