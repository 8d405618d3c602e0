import { randomUUID } from "node:crypto";
import { expired, type UserToken } from "../crypto/userTokens.ts";
import { address as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";

const UNIQUE_VIOLATION = "23505";
const DEADLOCK_DETECTED = "40P01";
/** Two accounts that swap their addresses wait for each other; the database then sends one back, once. */
const ATTEMPTS_MAX = 3;

/** An account whose owner asks for another address. */
export interface AskingAccount {
  email: string;
  auth_string_hash: string;
  token_epoch: string;
  /** Whether another account has the new address, or this one itself. */
  is_taken: boolean;
}

/** @param now microseconds since the Unix epoch @throws ApiError TOKEN_EXPIRED when the account is gone */
export async function readAskingAccount(
  db: Db,
  user_id: string,
  new_email: string,
  now: bigint,
): Promise<AskingAccount> {
  const account = await queries.account(db, { user_id, new_email, now });
  if (!account) throw expired();
  return account;
}

/** Whether the account of a link exists and has changed neither address nor password since. */
export async function isLinkCurrent(db: Db, { user_id, epoch }: UserToken): Promise<boolean> {
  const { is_current } = await queries.is_link_current(db, { user_id, epoch });
  return is_current;
}

/**
 * Changes the address, or nothing. Of several requests with one link, one succeeds.
 *
 * @param now microseconds since the Unix epoch
 * @returns the former address; "void" as isLinkCurrent says it, "taken" when another account has the address
 */
export async function changeAddress(
  db: Db,
  { user_id, epoch, new_email }: UserToken,
  now: bigint,
): Promise<{ former_email: string } | "void" | "taken"> {
  for (let attempt = 1; ; attempt++) {
    try {
      const next_epoch = randomUUID();
      return (await queries.change(db, { user_id, epoch, next_epoch, new_email, now })) ?? "void";
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === UNIQUE_VIOLATION) return "taken";
      if (code !== DEADLOCK_DETECTED || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}
