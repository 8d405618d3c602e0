/** Looks at every job once a minute, inside the server (decision P10). */
import { cron, Patterns } from "@elysiajs/cron";
import type { App } from "../app.ts";
import type { Services } from "../services.ts";
import { JOBS, type Job } from "./jobs.ts";
import { runIfDue } from "./run.ts";

export interface JobRunner {
  /** Starts no further run and waits for those under way, which end early; at most `limitMs`. */
  stop(limitMs: number): Promise<void>;
}

/** What is used of the timers that the plugin makes. */
interface Timer {
  trigger(): Promise<void>;
  stop(): void;
}

/**
 * Looks at every job now and then at each tick, and runs those that are due. Each job has a timer of its own, so that a
 * slow one holds up no other. The timers start here: to build an app runs no job.
 *
 * @param jobs only tests give others
 * @param pattern when to look; only tests look more often than each minute
 */
export function startJobs(
  app: App,
  services: Services,
  jobs: readonly Job[] = JOBS,
  pattern: string = Patterns.EVERY_MINUTE,
): JobRunner {
  const stopping = new AbortController();
  const running = new Set<Promise<unknown>>();
  const timers = jobs.map((job) => {
    async function look(): Promise<void> {
      const run = runIfDue(services, job, stopping.signal);
      running.add(run);
      await run;
      running.delete(run);
    }
    // `protect`: no look while the previous one runs. `unref`: a timer does not keep the process alive.
    app.use(cron({ name: job.name, pattern, run: look, protect: true, catch: true, unref: true }));
    return timerOf(app, job.name);
  });
  for (const timer of timers) timer.trigger();

  return {
    async stop(limitMs) {
      for (const timer of timers) timer.stop();
      stopping.abort();
      await Promise.race([Promise.all(running), Bun.sleep(limitMs)]);
    },
  };
}

function timerOf(app: App, name: string): Timer {
  const { cron: timers } = app.store as { cron: Record<string, Timer> };
  const timer = timers[name];
  if (!timer) throw new Error(`the job "${name}" has no timer`);
  return timer;
}
