/**
 * Who is told of changes, and how (decision C7). A change is announced after its commit. Streams of this process hear of
 * it at once; other processes by NOTIFY, batched and outside the transaction that wrote, because a NOTIFY inside it
 * makes all commits queue behind one lock. What a crash or a lost connection swallows is found by looking at the watched
 * containers again every 15 s. Nothing about a stream is stored.
 */
import { containerDoesNotExist } from "../db/containerChange.ts";
import { events as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import type { RevokedSessions } from "../http/revokedSessions.ts";
import type { Log } from "../log.ts";
import { EventStream, type StreamOwner, type Watch } from "./stream.ts";

const CHANNEL = "container_changes";

/** Milliseconds; only tests give others. */
export interface LiveChangesTiming {
  /** Other processes are told at most this often. */
  tellEveryMs: number;
  /** Expired tokens and sessions that ended are looked for. */
  lookEveryMs: number;
  /** Keys and cursors of all watched containers are read again. */
  recheckEveryMs: number;
  heartbeatEveryMs: number;
}

const TIMING: LiveChangesTiming = {
  tellEveryMs: 50,
  lookEveryMs: 5_000,
  recheckEveryMs: 15_000,
  heartbeatEveryMs: 25_000,
};

export interface LiveChanges {
  /** Says that a change in a container was committed. Never waits and never fails. */
  announce(container_id: string): void;
  /**
   * Opens a stream that begins with the present cursor of every container.
   *
   * @param watches what the client's tokens opened, cursors 0n
   * @throws ApiError CONTAINER_DOES_NOT_EXIST when one of the keys is gone; what the database throws
   */
  open(owner: StreamOwner, watches: readonly Watch[]): Promise<EventStream>;
  /** Streams that are open: all, or those of a user. */
  openCount(user_id?: string): number;
  /** Ends every stream and tells other processes what they were not told yet. */
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
  const streams = new Set<EventStream>();
  const watchers = new Map<string, Set<EventStream>>();
  const timers: Timer[] = [];

  function forget(stream: EventStream): void {
    streams.delete(stream);
    for (const container_id of stream.watches.keys()) unwatch(stream, container_id);
  }

  function unwatch(stream: EventStream, container_id: string): void {
    const all = watchers.get(container_id);
    all?.delete(stream);
    if (all?.size === 0) watchers.delete(container_id);
  }

  function tellGone(stream: EventStream, watch: Watch): void {
    unwatch(stream, watch.container_id);
    stream.tellGone(watch);
  }

  function tellChange(container_id: string, cursor: bigint): void {
    for (const stream of watchers.get(container_id) ?? []) {
      const watch = stream.watches.get(container_id);
      if (watch) stream.tellChange(watch, cursor);
    }
  }

  /** Reads what was announced meanwhile, again and again until nothing is left; one read at a time. */
  const tellHere = coalesced(async (container_ids) => {
    const rows = await queries.cursors(db, { container_ids });
    for (const { container_id, last_sequence } of rows) tellChange(container_id, last_sequence);
  });
  const tellOthers = coalesced(async (container_ids) => {
    await queries.tell_processes(db, { container_ids });
    await Bun.sleep(timing.tellEveryMs);
  });

  /** @throws what the database throws */
  async function recheck(some: Iterable<EventStream>): Promise<void> {
    const pairs = [...some].flatMap((stream) => [...stream.watches.values()].map((watch) => ({ stream, watch })));
    if (pairs.length === 0) return;
    const rows = await queries.watched(db, {
      key_ids: pairs.map(({ watch }) => watch.key_id),
      container_ids: pairs.map(({ watch }) => watch.container_id),
    });
    const cursors = new Map(rows.map((row) => [row.key_id + row.container_id, row.last_sequence]));
    for (const { stream, watch } of pairs) {
      const cursor = cursors.get(watch.key_id + watch.container_id);
      if (cursor === undefined) tellGone(stream, watch);
      else stream.tellChange(watch, cursor);
    }
  }

  function recheckAll(): void {
    recheck(streams).catch((error) => log.warn("live changes were not looked at", { code: codeOf(error) }));
  }

  function endExpired(): void {
    const nowSecs = Math.floor(now() / 1000);
    for (const stream of streams) {
      const { expirationSecs, session_id, user_id } = stream.owner;
      if (expirationSecs <= nowSecs || revokedSessions.has(session_id ?? user_id)) {
        stream.end();
        continue;
      }
      for (const watch of stream.watches.values()) {
        if (watch.expirationSecs <= nowSecs) tellGone(stream, watch);
      }
    }
  }

  function every(intervalMs: number, work: () => void): void {
    const timer = setInterval(work, intervalMs);
    timer.unref();
    timers.push(timer);
  }

  function onNotification(payload: string): void {
    for (const part of payload.split(",")) {
      const [container_id = "", cursor = "0"] = part.split(" ");
      tellChange(container_id, BigInt(cursor));
    }
  }

  const subscription = await db.listen(CHANNEL, onNotification, recheckAll);
  every(timing.lookEveryMs, endExpired);
  every(timing.recheckEveryMs, recheckAll);
  every(timing.heartbeatEveryMs, () => {
    for (const stream of streams) stream.tellNothing();
  });

  return {
    announce(container_id) {
      if (watchers.has(container_id)) tellHere.add(container_id);
      tellOthers.add(container_id);
    },
    async open(owner, watches) {
      const stream = new EventStream(owner, new Map(watches.map((watch) => [watch.container_id, watch])), forget);
      // Before the cursors are read, so that no change falls between.
      streams.add(stream);
      for (const container_id of stream.watches.keys()) {
        watchers.set(container_id, (watchers.get(container_id) ?? new Set()).add(stream));
      }
      const wanted = stream.watches.size;
      await recheck([stream]).catch((error) => {
        stream.end();
        throw error;
      });
      if (stream.watches.size === wanted) return stream;
      stream.end();
      throw containerDoesNotExist();
    },
    openCount: (user_id) =>
      user_id === undefined ? streams.size : [...streams].filter(({ owner }) => owner.user_id === user_id).length,
    async stop() {
      for (const timer of timers) clearInterval(timer);
      for (const stream of streams) stream.end();
      await subscription.unlisten();
      await tellOthers.settled();
    },
  };

  /** Collects ids while `work` runs on those before; a failure is logged, and the next recheck finds what it missed. */
  function coalesced(work: (container_ids: string[]) => Promise<void>) {
    let waiting = new Set<string>();
    let running: Promise<void> | undefined;

    async function run(): Promise<void> {
      while (waiting.size > 0) {
        const container_ids = [...waiting];
        waiting = new Set();
        await work(container_ids).catch((error) => log.warn("changes were not told", { code: codeOf(error) }));
      }
      running = undefined;
    }

    return {
      add(container_id: string): void {
        waiting.add(container_id);
        running ??= run();
      },
      settled: () => running ?? Promise.resolve(),
    };
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
