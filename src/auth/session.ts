/** Sessions and the tokens that belong to them (decisions A2, A3). */
import { createHash, randomUUID } from "node:crypto";
import { expired } from "../crypto/userTokens.ts";
import { auth as queries } from "../db/queries.ts";
import { ApiError } from "../errors.ts";
import type { PresentedToken } from "../http/access.ts";
import { nowMicros, type Services } from "../services.ts";

/** A rotated token that comes again within this time is a retry or a race of one client, not a theft. */
const REUSE_GRACE_MICROS = 30_000_000n;
const MICROS_PER_SEC = 1_000_000n;

/** The tokens that a client gets at the end of a sign-in or refresh. */
export interface IssuedTokens {
  access_token: string;
  refresh_token: string;
  /** SHA-256 of the refresh token's MAC: what the session's row holds. */
  refresh_token_hash: Uint8Array;
  /** End of the session if it is never refreshed, microseconds since the epoch. */
  session_expiration: bigint;
}

/** Makes an access and a refresh token; nothing is stored yet. */
export function issueTokens(services: Services, user_id: string, session_id: string): IssuedTokens {
  const { config, tokens, now } = services;
  const nowSecs = Math.floor(now() / 1000);
  const accessExpiration = nowSecs + config.accessTokenLifetimeMins * 60;
  const refreshExpiration = nowSecs + config.refreshTokenLifetimeDays * 86_400;
  const access = tokens.issue({ type: "Access", user_id, bound_to: session_id, expirationSecs: accessExpiration });
  const refresh = tokens.issue({ type: "Refresh", user_id, bound_to: session_id, expirationSecs: refreshExpiration });
  return {
    access_token: access.text,
    refresh_token: refresh.text,
    refresh_token_hash: hashOf(refresh.mac),
    session_expiration: BigInt(refreshExpiration) * MICROS_PER_SEC,
  };
}

/**
 * Exchanges a refresh token for the next pair. Of several requests with one token, one succeeds.
 *
 * @throws ApiError TOKEN_EXPIRED for a token that was used before, whose session ended or whose user is gone
 */
export async function refreshSession(services: Services, presented: PresentedToken): Promise<IssuedTokens> {
  if (presented.session_id === undefined) return adoptReferenceToken(services, presented);
  const now = nowMicros(services);
  const { session_id } = presented;
  const issued = issueTokens(services, presented.user_id, session_id);
  const outcome = await queries.rotate_refresh_token(services.db, {
    session_id,
    presented_token_hash: hashOf(presented.mac),
    next_token_hash: issued.refresh_token_hash,
    next_expiration: issued.session_expiration,
    now,
    grace_floor: now - REUSE_GRACE_MICROS,
    revoked_until: accessTokensEnd(services),
  });
  if (outcome.was_revoked) services.revokedSessions.add(session_id);
  if (!outcome.was_rotated) throw expired();
  return issued;
}

/** The first refresh of a token that the reference issued opens a session and lists the token as used. */
async function adoptReferenceToken(services: Services, presented: PresentedToken): Promise<IssuedTokens> {
  const session_id = randomUUID();
  const issued = issueTokens(services, presented.user_id, session_id);
  const opened = await queries.adopt_refresh_token(services.db, {
    token_signature: presented.mac,
    token_expiration: BigInt(presented.expirationSecs) * MICROS_PER_SEC,
    session_id,
    user_id: presented.user_id,
    refresh_token_hash: issued.refresh_token_hash,
    now: nowMicros(services),
    session_expiration: issued.session_expiration,
  });
  if (opened === 0) throw expired();
  return issued;
}

/**
 * Tells this process at once what `revoke_sessions` revoked; the others hear of it from the database.
 *
 * @param revoked_ids as the statement answered them
 */
export function forgetSessions(
  { revokedSessions }: { revokedSessions: Pick<Services["revokedSessions"], "add"> },
  revoked_ids: readonly string[] | null | undefined,
): void {
  for (const id of revoked_ids ?? []) revokedSessions.add(id);
}

/**
 * Ends the session of a refresh token: from now on its tokens are refused in every process.
 *
 * @throws ApiError CONFLICT_WITH_EXISTING when the token was used up before
 */
export async function endSession(services: Services, presented: PresentedToken): Promise<void> {
  const { db } = services;
  const { session_id, user_id } = presented;
  if (session_id === undefined) {
    const token_expiration = BigInt(presented.expirationSecs) * MICROS_PER_SEC;
    const listed = await queries.blacklist_token(db, { token_signature: presented.mac, token_expiration });
    if (listed === 0) throw alreadyUsed();
    return;
  }
  const ended = await queries.end_session(db, {
    session_id,
    user_id,
    presented_token_hash: hashOf(presented.mac),
    revoked_until: accessTokensEnd(services),
  });
  if (ended) services.revokedSessions.add(session_id);
  if (!ended?.token_was_current) throw alreadyUsed();
}

/** When the last access token that was issued until now expires, microseconds since the Unix epoch. */
export function accessTokensEnd(services: Pick<Services, "config" | "now">): bigint {
  return nowMicros(services) + BigInt(services.config.accessTokenLifetimeMins) * 60n * MICROS_PER_SEC;
}

function hashOf(mac: Uint8Array): Uint8Array {
  return createHash("sha256").update(mac).digest();
}

function alreadyUsed(): ApiError {
  return new ApiError("CONFLICT_WITH_EXISTING", "The refresh token was used up or its session ended before.");
}
