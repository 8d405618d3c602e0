import type { Config } from "../config.ts";
import { WorkQueue } from "../workQueue.ts";
import { ByteBudget } from "./byteBudget.ts";
import { ContainerWrites, WAITING_CHANGES } from "./containerWrites.ts";

/** What requests may take of one process, so that a few of them leave room for all others. */
export interface Bounds {
  containerWrites: ContainerWrites;
  /** Uploads and re-keyings of more than a few rows: each takes several times the memory of its body. */
  wholeContainers: WorkQueue;
  /** Reads of large containers: each takes several times the memory of its answer. */
  largeReads: WorkQueue;
  /** Large bodies, from their first megabyte to the answer. */
  bodyBytes: ByteBudget;
  /** Large answers, until they are read. */
  answerBytes: ByteBudget;
}

const MIB = 1024 * 1024;
/** More changes of one container at a time are hardly faster, and two busy ones must leave connections for others. */
const CHANGES_AT_ONCE_MAX = 3;
const UPLOADS_AT_ONCE_MAX = 2;
/** How many large reads may wait, which takes no memory, and how long. */
const READS_WAITING_MAX = 50;
const READ_WAIT_MS = 10_000;
const READ_RETRY_AFTER_SECS = 5;
/** How many large uploads may wait, with their bodies in memory, and how long: then come the seconds that they take. */
const UPLOADS_WAITING_MAX = 8;
const UPLOAD_WAIT_MS = 15_000;
const UPLOAD_RETRY_AFTER_SECS = 10;

/** The bounds of one process, in which nothing is under way yet. */
export function createBounds({ databaseConnectionsMax, largeMessagesMaxMb }: Config): Bounds {
  const third = Math.max(1, Math.floor(databaseConnectionsMax / 3));
  return {
    containerWrites: new ContainerWrites({ ...WAITING_CHANGES, parallel: Math.min(third, CHANGES_AT_ONCE_MAX) }),
    wholeContainers: new WorkQueue({
      parallel: Math.min(third, UPLOADS_AT_ONCE_MAX),
      waitingMax: UPLOADS_WAITING_MAX,
      waitMs: UPLOAD_WAIT_MS,
      refusal: "Too many large uploads at once; try again later.",
      retryAfterSecs: UPLOAD_RETRY_AFTER_SECS,
    }),
    largeReads: new WorkQueue({
      parallel: 1, // most of it is work for this process, which does one thing at a time anyway
      waitingMax: READS_WAITING_MAX,
      waitMs: READ_WAIT_MS,
      refusal: "Too many large containers are being read; try again soon.",
      retryAfterSecs: READ_RETRY_AFTER_SECS,
    }),
    bodyBytes: new ByteBudget(largeMessagesMaxMb * MIB),
    answerBytes: new ByteBudget(largeMessagesMaxMb * MIB),
  };
}
