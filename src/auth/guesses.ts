/** Checks of passwords and recovery keys, guarded against guessing (decisions A1, A16). */
import { ApiError } from "../errors.ts";
import { clientNetwork } from "../http/address.ts";
import type { Services } from "../services.ts";

/**
 * Runs a check of a secret under the attempt limits of an address. Only a wrong secret counts, which the check tells by
 * throwing INCORRECT_CREDENTIAL; overload, a database that is away and everything else do not.
 *
 * @param address lower-case, with or without an account: the limits treat both alike
 * @param clientAddress as the context has it
 * @throws ApiError TOO_MANY_ATTEMPTS with `Retry-After`, and what the check throws
 */
export async function guardGuess<Result>(
  { signinAttempts }: Services,
  address: string,
  clientAddress: string | undefined,
  check: () => Promise<Result>,
): Promise<Result> {
  const attempt = signinAttempts.begin(address, clientAddress && clientNetwork(clientAddress));
  try {
    const result = await check();
    attempt.succeed();
    return result;
  } catch (error) {
    const isWrongSecret = error instanceof ApiError && error.type === "INCORRECT_CREDENTIAL";
    if (!isWrongSecret) attempt.succeed();
    throw error;
  }
}

/**
 * Checks the password of an account that a signed-in client acts on.
 *
 * @param account its address and stored hash
 * @throws ApiError INCORRECT_CREDENTIAL, TOO_MANY_ATTEMPTS, PREHANDLER 503 when the hash queue is full
 */
export async function requirePassword(
  services: Services,
  account: { email: string; auth_string_hash: string },
  auth_string: Uint8Array,
  clientAddress: string | undefined,
): Promise<void> {
  await guardGuess(services, account.email, clientAddress, async () => {
    if (auth_string.length > services.config.authStringLengthMax) throw wrongPassword();
    const isRight = await services.passwords.verify(account.auth_string_hash, auth_string);
    if (!isRight) throw wrongPassword();
  });
}

/** The same for an unknown address and a wrong password. */
export function wrongPassword(): ApiError {
  return new ApiError("INCORRECT_CREDENTIAL", "The address or the password is wrong.");
}
