/** A process of its own for what must not slow the benchmark or each other down: `bun worker.ts`, spoken to over IPC. */
import { queryContainers, replaceEntries, verifyPasswords } from "./bare.ts";
import { askAnything, beat, edit, fetchContainers, signIn } from "./load.ts";
import { askForChanges, readAndLookUp } from "./polls.ts";
import { bulkUpload, insertInChunks } from "./uploads.ts";
import { openStreams, probe } from "./watching.ts";

const JOBS = {
  askAnything,
  beat,
  edit,
  fetchContainers,
  askForChanges,
  signIn,
  bulkUpload,
  queryContainers,
  readAndLookUp,
  replaceEntries,
  verifyPasswords,
  insertInChunks,
  openStreams,
  probe,
};

type Jobs = typeof JOBS;
type Outcome = { result: unknown } | { error: string };

export interface Worker {
  run<Name extends keyof Jobs>(name: Name, round: Parameters<Jobs[Name]>[0]): Promise<Awaited<ReturnType<Jobs[Name]>>>;
  stop(): void;
}

/** Starts a worker. It ends with this process. */
export function startWorker(): Worker {
  let waiting: PromiseWithResolvers<unknown> | undefined;
  const child = Bun.spawn([process.execPath, import.meta.path], {
    stdio: ["ignore", "inherit", "inherit"],
    serialization: "advanced",
    ipc(outcome: Outcome) {
      if ("error" in outcome) waiting?.reject(new Error(outcome.error));
      else waiting?.resolve(outcome.result);
    },
    onExit: () => waiting?.reject(new Error("a worker has ended")),
  });
  return {
    run(name, round) {
      waiting = Promise.withResolvers();
      child.send([name, round]);
      return waiting.promise as Promise<never>;
    },
    stop: () => child.kill(),
  };
}

if (import.meta.main) {
  const answer = (outcome: Outcome) => process.send?.(outcome);
  process.on("message", ([name, round]: [keyof Jobs, never]) => {
    JOBS[name](round).then(
      (result) => answer({ result }),
      (error: unknown) => answer({ error: `${name}: ${error instanceof Error ? error.stack : error}` }),
    );
  });
  process.on("disconnect", () => process.exit());
}
