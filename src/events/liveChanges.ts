/**
 * Who is told of changes, and how (decision C7). A change is announced after its commit. Streams of this process hear of
 * it at once; other processes by NOTIFY, batched and outside the transaction that wrote, because a NOTIFY inside it
 * makes all commits queue behind one lock. What a crash or a lost connection swallows is found by looking at the watched
 * containers again every 15 s. A notification only says where to look: cursors and keys are what the database says.
 * Nothing about a stream is stored.
 */
import { containerDoesNotExist } from "../db/containerChange.ts";
import { events as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { overloaded } from "../errors.ts";
import type { RevokedSessions } from "../http/revokedSessions.ts";
import type { Log } from "../log.ts";
import { coalesced } from "./coalesced.ts";
import { OpenStreams } from "./openStreams.ts";
import { EventStream, type StreamOwner, type Watch, type WatchKey } from "./stream.ts";

const CHANNEL = "container_changes";
/** Keys that are looked at in one statement. */
const KEYS_PER_RECHECK = 5_000;
/** How long a stop waits for a database that does not answer. */
const STOP_LIMIT_MS = 1_000;
const RETRY_AFTER_STOP_SECS = 1;

/** Milliseconds; only tests give others. */
export interface LiveChangesTiming {
  /** Streams of this process are told at most this often: in a container that changes all the time, many at once. */
  tellHereEveryMs: number;
  /** Other processes are told at most this often. */
  tellEveryMs: number;
  /** Expired tokens and sessions that ended are looked for. */
  lookEveryMs: number;
  /** Keys and cursors of all watched containers are read again. */
  recheckEveryMs: number;
  heartbeatEveryMs: number;
}

const TIMING: LiveChangesTiming = {
  tellHereEveryMs: 10,
  tellEveryMs: 50,
  lookEveryMs: 5_000,
  recheckEveryMs: 15_000,
  heartbeatEveryMs: 25_000,
};

/** A key that a client showed, by a token that is verified. */
export interface ShownKey extends WatchKey {
  container_id: string;
}

export interface LiveChanges {
  /** Says that a change in a container was committed. Never waits and never fails. */
  announce(container_id: string): void;
  /**
   * Opens a stream that begins with the present cursor of every container.
   *
   * @param keys what the client's tokens opened; of several for one container, the last one that is left counts
   * @throws ApiError CONTAINER_DOES_NOT_EXIST when one of the keys is gone, PREHANDLER 503 after `stop`; what the
   * database throws
   */
  open(owner: StreamOwner, keys: readonly ShownKey[]): Promise<EventStream>;
  /** Streams that are open: all, or those of a user. */
  openCount(user_id?: string): number;
  /** Ends every stream, opens none any more, and tells other processes what they were not told yet. */
  stop(): Promise<void>;
}

export interface LiveChangesServices {
  db: Db;
  log: Log;
  revokedSessions: RevokedSessions;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Starts to listen. */
export async function followChanges(services: LiveChangesServices, timing = TIMING): Promise<LiveChanges> {
  const { db, log, revokedSessions, now } = services;
  const streams = new OpenStreams();
  const timers: Timer[] = [];
  let isStopped = false;
  const warnOf = (event: string) => (error: unknown) => log.warn(event, { code: codeOf(error) });

  const tellHere = coalesced(async (container_ids) => {
    const rows = await queries.cursors(db, { container_ids });
    for (const { container_id, last_sequence } of rows) streams.tellChange(container_id, last_sequence);
    await Bun.sleep(timing.tellHereEveryMs);
  }, warnOf("changes were not told"));
  const tellOthers = coalesced(async (container_ids) => {
    await queries.tell_processes(db, { container_ids });
    await Bun.sleep(timing.tellEveryMs);
  }, warnOf("other processes were not told of changes"));
  /** One at a time, however long the database takes. */
  const lookAgain = coalesced(() => recheck(db, streams, streams), warnOf("live changes were not looked at"));
  const recheckAll = () => lookAgain.add("all");

  function tellIfWatched(container_id: string): void {
    if (streams.isWatched(container_id)) tellHere.add(container_id);
  }

  function onNotification(payload: string): void {
    for (const container_id of payload.split(",")) tellIfWatched(container_id);
  }

  function every(intervalMs: number, work: () => void): void {
    const timer = setInterval(work, intervalMs);
    timer.unref();
    timers.push(timer);
  }

  const subscription = await db.listen(CHANNEL, onNotification, recheckAll);
  every(timing.lookEveryMs, () => endExpired(streams, revokedSessions, now()));
  every(timing.recheckEveryMs, recheckAll);
  every(timing.heartbeatEveryMs, () => {
    for (const stream of streams) stream.tellNothing();
  });

  return {
    announce(container_id) {
      tellIfWatched(container_id);
      tellOthers.add(container_id);
    },
    async open(owner, keys) {
      if (isStopped) throw overloaded("The server is stopping; try again.", RETRY_AFTER_STOP_SECS);
      const stream = new EventStream(owner, watchesOf(keys), (ended) => streams.remove(ended));
      streams.add(stream); // before the cursors are read, so that no change falls between
      try {
        if (!(await recheck(db, streams, [stream]))) throw containerDoesNotExist();
      } catch (error) {
        stream.end();
        throw error;
      }
      return stream;
    },
    openCount: (user_id) => streams.count(user_id),
    async stop() {
      isStopped = true;
      for (const timer of timers) clearInterval(timer);
      for (const stream of streams) stream.end();
      const isDone = Promise.all([tellOthers.settled(), subscription.unlisten()]).catch(() => {});
      await Promise.race([isDone, Bun.sleep(STOP_LIMIT_MS)]);
    },
  };
}

/**
 * Tells some streams what has changed, and what is out of reach.
 *
 * @returns whether every key still opens its container
 * @throws what the database throws
 */
async function recheck(db: Db, streams: OpenStreams, some: Iterable<EventStream>): Promise<boolean> {
  const all = [...some].flatMap((stream) =>
    [...stream.watches.values()].flatMap((watch) => watch.keys.map(({ key_id }) => ({ stream, watch, key_id }))),
  );
  let areAllThere = true;
  for (let start = 0; start < all.length; start += KEYS_PER_RECHECK) {
    const part = all.slice(start, start + KEYS_PER_RECHECK);
    const rows = await queries.watched(db, {
      key_ids: part.map(({ key_id }) => key_id),
      container_ids: part.map(({ watch }) => watch.container_id),
    });
    const cursors = new Map(rows.map((row) => [row.key_id + row.container_id, row.last_sequence]));
    for (const { stream, watch, key_id } of part) {
      const cursor = cursors.get(key_id + watch.container_id);
      if (cursor !== undefined) stream.tellChange(watch, cursor);
      else streams.keepKeys(stream, watch, (key) => key.key_id !== key_id);
      areAllThere &&= cursor !== undefined;
    }
  }
  return areAllThere;
}

function endExpired(streams: OpenStreams, revokedSessions: RevokedSessions, nowMs: number): void {
  const nowSecs = Math.floor(nowMs / 1000);
  for (const stream of streams) {
    const { expirationSecs, session_id, user_id } = stream.owner;
    if (expirationSecs <= nowSecs || revokedSessions.has(session_id ?? user_id)) {
      stream.end();
      continue;
    }
    for (const watch of stream.watches.values()) {
      streams.keepKeys(stream, watch, (key) => key.expirationSecs > nowSecs);
    }
  }
}

/** One watch per container. */
function watchesOf(keys: readonly ShownKey[]): Map<string, Watch> {
  const watches = new Map<string, Watch>();
  for (const { container_id, key_id, expirationSecs } of keys) {
    const watch = watches.get(container_id) ?? { container_id, keys: [], cursor: -1n };
    watch.keys.push({ key_id, expirationSecs });
    watches.set(container_id, watch);
  }
  return watches;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
