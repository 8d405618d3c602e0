import type { Log } from "../log.ts";
import { messageOf } from "./dataDirectory.ts";
import type { Postmaster, ProcessEnd } from "./postgresProcess.ts";

/** A PostgreSQL that ends by itself more often than this within a minute is not started again. */
const ENDS_MAX = 5;
const WINDOW_MS = 60_000;
const FIRST_DELAY_MS = 100;

/**
 * Starts PostgreSQL again whenever it ends by itself, as when the system is out of memory and kills it. Requests are
 * refused meanwhile, and nothing that was acknowledged is lost.
 *
 * @param startAgain starts it at the same place, so that connections are made as before
 * @returns a postmaster that ends when it was stopped, or when it cannot be kept running
 */
export function supervisePostmaster(first: Postmaster, startAgain: () => Promise<Postmaster>, log: Log): Postmaster {
  let current = first;
  let isStopping = false;
  let ends: number[] = [];

  async function keepRunning(): Promise<ProcessEnd> {
    for (;;) {
      const end = await current.ended;
      if (isStopping) return end;
      const now = performance.now();
      ends = [...ends.filter((time) => now - time < WINDOW_MS), now];
      if (ends.length > ENDS_MAX) return end;
      const delay_ms = FIRST_DELAY_MS * 2 ** (ends.length - 1);
      log.error("the database ended and is started again", {
        status: end.status,
        delay_ms,
        last_messages: end.lastLines || undefined,
      });
      await Bun.sleep(delay_ms);
      if (isStopping) return end;
      try {
        current = await startAgain();
      } catch (error) {
        return { status: end.status, lastLines: `${end.lastLines}\n${messageOf(error)}` };
      }
      log.info("the database runs again", { duration_ms: Math.round(performance.now() - now) });
      if (isStopping) await current.stop();
    }
  }

  const ended = keepRunning();
  return {
    ended,
    async stop() {
      isStopping = true;
      await current.stop();
      await ended;
    },
  };
}
