import { randomUUID } from "node:crypto";
import { expired, type UserToken } from "../crypto/userTokens.ts";
import { containerDoesNotExist } from "../db/containerChange.ts";
import { deletion as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import type { ContainerAccess } from "../http/access.ts";

/**
 * Lists keys that shall go with an account. It may be repeated.
 *
 * @param delete_me_time when the keys are forgotten if nobody confirms, microseconds since the Unix epoch
 * @returns the account's address and epoch, for the link that confirms it
 * @throws ApiError TOKEN_EXPIRED when the account is gone, CONTAINER_DOES_NOT_EXIST when one of the keys is
 */
export async function listKeys(
  db: Db,
  user_id: string,
  keys: readonly ContainerAccess[],
  delete_me_time: bigint,
): Promise<{ email: string; token_epoch: string }> {
  const row = await queries.list_keys(db, {
    user_id,
    key_ids: keys.map(({ key_id }) => key_id),
    container_ids: keys.map(({ container_id }) => container_id),
    delete_me_time,
  });
  if (!row) throw expired();
  if (!row.all_exist) throw containerDoesNotExist();
  return row;
}

/** @throws ApiError TOKEN_EXPIRED when the account is gone */
export async function isScheduled(db: Db, user_id: string): Promise<boolean> {
  const row = await queries.is_scheduled(db, { user_id });
  if (!row) throw expired();
  return row.is_scheduled;
}

/**
 * Cancels a deletion, scheduled or only asked for, and voids the links that were mailed.
 *
 * @throws ApiError TOKEN_EXPIRED when the account is gone
 */
export async function cancelDeletion(db: Db, user_id: string): Promise<void> {
  const { was_cancelled } = await queries.cancel(db, { user_id, next_epoch: randomUUID() });
  if (!was_cancelled) throw expired();
}

/** What a link leads to: its account's deletion can be or just was scheduled, was scheduled before, or the link is void. */
export type LinkState = { email: string; state: "open" | "scheduled-now" | "scheduled-before" } | undefined;

/** Looks at the account of a link and changes nothing. */
export async function readLink(db: Db, link: UserToken): Promise<LinkState> {
  const { user_id, epoch, mac } = link;
  const row = await queries.find_account(db, { user_id, epoch, token_signature: mac });
  if (!row) return undefined;
  const { email, is_scheduled, link_was_used } = row;
  if (is_scheduled) return { email, state: "scheduled-before" };
  return link_was_used ? undefined : { email, state: "open" };
}

/**
 * Schedules the deletion of a link's account. A link works once: after a cancellation it is void.
 *
 * @param times microseconds since the Unix epoch: when the deletion is due, and until when the account's listed keys must
 * stay listed
 */
export async function scheduleDeletion(
  db: Db,
  link: UserToken,
  times: { ready_time: bigint; keys_kept_until: bigint },
): Promise<LinkState> {
  const { user_id, epoch, mac, expirationSecs } = link;
  const token_expiration = BigInt(expirationSecs) * 1_000_000n;
  const row = await queries.schedule(db, { user_id, epoch, token_signature: mac, token_expiration, ...times });
  if (!row) return undefined;
  const { email, was_scheduled, link_was_used, is_scheduled } = row;
  if (was_scheduled) return { email, state: "scheduled-now" };
  // Of several at once, those that come too late do not see yet what the first one did.
  return link_was_used && !is_scheduled ? undefined : { email, state: "scheduled-before" };
}
