/** What the server knows of recovery keys, by address, without telling whether the address has an account (decision A9). */
import { createHmac } from "node:crypto";
import { guardGuess } from "../auth/guesses.ts";
import { recovery as queries } from "../db/queries.ts";
import { lookupForm } from "../emailAddress.ts";
import { ApiError } from "../errors.ts";
import type { Services } from "../services.ts";
import type { RecoveryParams } from "./messages.ts";

const PHONY_SALT_BYTES = 16;

/** How the client of an address must hash its recovery key; made up, constant per address, for unknown addresses. */
export async function recoveryParams(services: Services, anyText: string): Promise<RecoveryParams> {
  const { db, config, keys } = services;
  const address = lookupForm(anyText);
  const phonySalt = (purpose: string) =>
    createHmac("sha256", keys.phony).update(`${purpose}\n${address}`).digest().subarray(0, PHONY_SALT_BYTES);
  return queries.params(db, {
    email: address,
    phony_salt_for_encryption: phonySalt("recovery salt for encryption"),
    phony_salt_for_recovery_auth: phonySalt("recovery salt for authentication"),
    phony_mem_cost_kib: config.clientAuthStringHashMemCostKib,
    phony_threads: config.clientAuthStringHashThreads,
    phony_iterations: config.clientAuthStringHashIterations,
  });
}

export interface RecoverableAccount {
  user_id: string;
  email: string;
  token_epoch: string;
  /** As it is stored: a recovery succeeds only while it still is. */
  recovery_key_auth_hash_rehashed: string;
  encryption_key_encrypted_with_recovery_key: Uint8Array;
}

/**
 * Checks a recovery key (its hash, as the client sends it) under the attempt limits of the address (decision A16). An
 * unknown address takes the same steps and the same work as a wrong key.
 *
 * @param address in lower case
 * @throws ApiError INCORRECT_CREDENTIAL, TOO_MANY_ATTEMPTS, PREHANDLER 503; INVALID_STATE for an account whose address
 * was never proven, told only to the right key
 */
export async function requireRecoveryKey(
  services: Services,
  address: string,
  keyHash: Uint8Array,
  clientAddress: string | undefined,
): Promise<RecoverableAccount> {
  const { db, config, passwords } = services;
  return guardGuess(services, address, clientAddress, async () => {
    const account = await queries.find_user(db, { email: address });
    if (keyHash.length > config.authStringLengthMax) throw wrongRecoveryKey();
    const isRight = await passwords.verify(account?.recovery_key_auth_hash_rehashed, keyHash);
    if (!isRight || !account) throw wrongRecoveryKey();
    if (account.is_verified) return account;
    throw new ApiError("INVALID_STATE", "The account's address was never proven: sign in with the passcode first.");
  });
}

/** Writes the hash of a key that was right anew, where it is of the reference's scheme or of another cost. */
export async function upgradeRecoveryHash(
  { db, passwords }: Services,
  { user_id, recovery_key_auth_hash_rehashed: previous_hash }: RecoverableAccount,
  keyHash: Uint8Array,
): Promise<void> {
  if (!passwords.isOutdated(previous_hash)) return;
  const next_hash = await passwords.hash(keyHash).catch(() => undefined); // no time now: the next recovery does it
  if (next_hash !== undefined) await queries.upgrade_hash(db, { user_id, previous_hash, next_hash });
}

/** The same for an unknown address, a wrong key and a key that was replaced meanwhile. */
export function wrongRecoveryKey(): ApiError {
  return new ApiError("INCORRECT_CREDENTIAL", "The address or the recovery key is wrong.");
}
