import type { Config } from "./config.ts";
import { type DerivedKeys, deriveKeys } from "./crypto/derivedKeys.ts";
import { createPasswords, type Passwords } from "./crypto/passwords.ts";
import { createUserTokens, type UserTokens } from "./crypto/userTokens.ts";
import type { Db } from "./db/query.ts";
import { followChanges, type LiveChanges } from "./events/liveChanges.ts";
import { type Access, createAccess } from "./http/access.ts";
import { type Bounds, createBounds } from "./http/bounds.ts";
import { type AttemptLimiter, createAttemptLimiter, createLimiter, type Limiter } from "./http/limits.ts";
import { followRevokedSessions, type RevokedSessions } from "./http/revokedSessions.ts";
import type { Log } from "./log.ts";
import type { Mailer } from "./mail/mailer.ts";
import { createOps, type Ops } from "./ops/ops.ts";
import type { CompleteConfig } from "./secrets.ts";

/** Everything that a request handler may use. Built once by `createServices` and handed down; nothing is global. */
export interface Services {
  config: Config;
  db: Db;
  log: Log;
  mailer: Mailer;
  keys: DerivedKeys;
  passwords: Passwords;
  tokens: UserTokens;
  revokedSessions: RevokedSessions;
  access: Access;
  liveChanges: LiveChanges;
  limiter: Limiter;
  bounds: Bounds;
  signinAttempts: AttemptLimiter;
  ops: Ops;
  /** `isStopping` is set once, when the server was told to stop (decision P11). */
  lifecycle: { isStopping: boolean };
  /** Milliseconds since the epoch; tests move it. */
  now: () => number;
}

/**
 * Builds the services of one process on a database whose schema is up to date.
 *
 * @param config with its secrets complete
 * @param now milliseconds since the epoch; only tests give another clock than the system's
 */
export async function createServices(
  config: CompleteConfig,
  db: Db,
  mailer: Mailer,
  log: Log,
  now: () => number = Date.now,
): Promise<Services> {
  const keys = deriveKeys(config.tokenSigningKey, config.tokenEncryptionKey);
  const tokens = createUserTokens(config.tokenSigningKey, keys.tokenEncryption);
  const passwords = createPasswords({
    pepper: config.authStringHashKey,
    memCostKib: config.authStringHashMemCostKib,
    iterations: config.authStringHashIterations,
    queueMax: config.hashQueueMax,
  });
  const revokedSessions = await followRevokedSessions(db, config.accessTokenLifetimeMins * 60_000, now);
  const access = createAccess({ db, tokens, revokedSessions, now });
  const liveChanges = await followChanges({ db, log, revokedSessions, now });
  const limiter = createLimiter(config.limiters, { log, warnEvery: config.limiterWarnEvery });
  const signinAttempts = createAttemptLimiter({
    max: config.signinLimiterMax,
    periodSecs: config.signinLimiterPeriodSecs,
  });
  const bounds = createBounds(config);
  const ops = createOps({ db, bounds, passwords, mailer, revokedSessions, liveChanges, limiter, now });
  return {
    config,
    db,
    log,
    mailer,
    keys,
    passwords,
    tokens,
    revokedSessions,
    access,
    liveChanges,
    limiter,
    bounds,
    signinAttempts,
    ops,
    lifecycle: { isStopping: false },
    now,
  };
}

/** The server's clock in microseconds since the epoch, as rows and messages hold it. */
export function nowMicros({ now }: Pick<Services, "now">): bigint {
  return BigInt(now()) * 1000n;
}
