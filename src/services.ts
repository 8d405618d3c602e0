import type { Config } from "./config.ts";
import type { DerivedKeys } from "./crypto/derivedKeys.ts";
import type { Passwords } from "./crypto/passwords.ts";
import type { UserTokens } from "./crypto/userTokens.ts";
import type { Db } from "./db/query.ts";
import type { Access } from "./http/access.ts";
import type { AttemptLimiter, Limiter } from "./http/limits.ts";
import type { RevokedSessions } from "./http/revokedSessions.ts";
import type { Log } from "./log.ts";
import type { Mailer } from "./mail/mailer.ts";

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
  limiter: Limiter;
  signinAttempts: AttemptLimiter;
  /** Milliseconds since the epoch; tests move it. */
  now: () => number;
}

/** The server's clock in microseconds since the epoch, as rows and messages hold it. */
export function nowMicros({ now }: Pick<Services, "now">): bigint {
  return BigInt(now()) * 1000n;
}
