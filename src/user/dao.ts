import type { EncryptedBlobUpdate } from "../container/messages.ts";
import { expired } from "../crypto/userTokens.ts";
import { outOfDate } from "../db/containerChange.ts";
import { user as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { ApiError } from "../errors.ts";
import type { NewUserPublicKey, UserPublicKey } from "./messages.ts";

/** @param now microseconds since the Unix epoch @throws ApiError CONFLICT_WITH_EXISTING */
export async function requireFreeAddress(db: Db, email: string, now: bigint): Promise<void> {
  const { is_taken } = await queries.is_address_taken(db, { email, now });
  if (is_taken) throw addressIsTaken();
}

/**
 * Stores an account with everything that belongs to it.
 *
 * @throws ApiError CONFLICT_WITH_EXISTING
 */
export async function createUser(db: Db, account: Parameters<typeof queries.create>[1]): Promise<void> {
  const created = await queries.create(db, account);
  if (created === 0) throw addressIsTaken();
}

/**
 * @param asked_by the user who asks
 * @param email in lower case
 * @returns undefined when no account has the address
 * @throws ApiError TOKEN_EXPIRED when the user who asks is gone
 */
export async function findPublicKey(db: Db, asked_by: string, email: string): Promise<UserPublicKey | undefined> {
  const row = await queries.public_key(db, { asked_by, email });
  if (!row) throw expired();
  const { id, value } = row;
  return id === null || value === null ? undefined : { id, value };
}

/** @throws ApiError OUT_OF_DATE, TOKEN_EXPIRED when the user is gone */
export async function replacePublicKey(db: Db, user_id: string, key: NewUserPublicKey): Promise<void> {
  const outcome = await queries.replace_public_key(db, {
    user_id,
    public_key_id: key.id,
    public_key: key.value,
    expected_public_key_id: key.expected_previous_public_key_id,
  });
  requireReplaced(outcome, "public key");
}

/** @throws ApiError OUT_OF_DATE, TOKEN_EXPIRED when the user is gone */
export async function replacePreferences(db: Db, user_id: string, update: EncryptedBlobUpdate): Promise<void> {
  requireReplaced(await queries.replace_preferences(db, { user_id, ...update }), "blob of preferences");
}

/** @throws ApiError OUT_OF_DATE, TOKEN_EXPIRED when the user is gone */
export async function replaceKeystore(db: Db, user_id: string, update: EncryptedBlobUpdate): Promise<void> {
  requireReplaced(await queries.replace_keystore(db, { user_id, ...update }), "keystore");
}

/** @param outcome of a conditional update; undefined when the user is gone */
function requireReplaced(outcome: { was_replaced: boolean } | undefined, what: string): void {
  if (!outcome) throw expired();
  if (!outcome.was_replaced) throw outOfDate(what);
}

function addressIsTaken(): ApiError {
  return new ApiError("CONFLICT_WITH_EXISTING", "An account with this address exists.");
}
