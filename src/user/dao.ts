import { user as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { ApiError } from "../errors.ts";

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

function addressIsTaken(): ApiError {
  return new ApiError("CONFLICT_WITH_EXISTING", "An account with this address exists.");
}
