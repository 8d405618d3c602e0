/**
 * Sessions that ended while access tokens of theirs are still unexpired (decision A3). Every process keeps the list in
 * memory, so that checking a token asks no database: filled at start, then told by NOTIFY. Where the connection that
 * listens was lost, the list is read again as soon as it is back.
 */
import { auth } from "../db/queries.ts";
import type { Db } from "../db/query.ts";

const CHANNEL = "revoked_sessions";
/** More than could end within one lifetime of an access token; beyond, the one closest to its end is forgotten. */
const SIZE_MAX = 100_000;

export interface RevokedSessions {
  has(session_id: string): boolean;
  add(session_id: string): void;
  /** Sessions that are remembered; some may have expired since. */
  readonly size: number;
  stop(): Promise<void>;
}

/**
 * @param lifetimeMs of an access token: after that a revoked session need not be remembered
 * @param now milliseconds since the epoch
 */
export async function followRevokedSessions(db: Db, lifetimeMs: number, now: () => number): Promise<RevokedSessions> {
  const expirations = new Map<string, number>(); // in order of insertion, which is about the order of expiry

  function remember(session_id: string, expirationMs: number): void {
    expirations.set(session_id, expirationMs);
    for (const [oldest, expiration] of expirations) {
      if (expiration > now() && expirations.size <= SIZE_MAX) break;
      expirations.delete(oldest);
    }
  }

  async function load(): Promise<void> {
    const rows = await auth.revoked_sessions(db, { now: BigInt(now()) * 1000n });
    for (const { session_id, expiration } of rows) remember(session_id, Number(expiration / 1000n));
  }

  const add = (session_id: string) => remember(session_id, now() + lifetimeMs);
  const subscription = await db.listen(CHANNEL, add, () => {
    load().catch(() => {}); // the connection broke again: its return calls this once more
  });
  await load();

  return {
    has: (session_id) => (expirations.get(session_id) ?? 0) > now(),
    add,
    get size() {
      return expirations.size;
    },
    stop: () => subscription.unlisten(),
  };
}
