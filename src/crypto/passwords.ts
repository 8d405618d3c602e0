/**
 * Hashes of auth strings and recovery keys (decision A1). Two schemes are read, one is written:
 * - ours, `v2:` before a PHC string: argon2id (RFC 9106) by Bun.password over HMAC-SHA256(pepper, secret);
 * - the reference's, a PHC string without prefix: argon2id keyed with the pepper as Argon2's secret parameter.
 * Argon2 runs on the runtime's threads; a bounded queue keeps a flood of sign-ins from using up memory.
 */
import { argon2, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { WorkQueue } from "../workQueue.ts";

const argon2Async = promisify(argon2);

const PREFIX = "v2:";
/** What a client should wait when the queue is full: about the time in which the queue empties. */
const RETRY_AFTER_SECS = 5;

export interface PasswordSettings {
  /** 32 bytes. */
  pepper: Uint8Array;
  memCostKib: number;
  iterations: number;
  /** How many computations may wait; beyond that, 503. */
  queueMax: number;
}

export interface Passwords {
  /** @throws ApiError PREHANDLER 503 when the queue is full */
  hash(secret: Uint8Array): Promise<string>;
  /**
   * @param stored undefined does the work of a verification all the same and answers false
   * @throws ApiError PREHANDLER 503 when the queue is full; Error when the stored string is not readable
   */
  verify(stored: string | undefined, secret: Uint8Array): Promise<boolean>;
  /** True when the hash is of the reference's scheme or of another cost: it should be written anew once it was verified. */
  isOutdated(stored: string): boolean;
  /** Computations that run or wait. */
  pending(): number;
  /** Those of them that run. */
  running(): number;
}

/** The hasher of one process; nothing is computed yet. */
export function createPasswords(settings: PasswordSettings): Passwords {
  const queue = new WorkQueue({
    parallel: availableParallelism(),
    waitingMax: settings.queueMax,
    refusal: "The server is checking too many passwords at the moment; try again soon.",
    retryAfterSecs: RETRY_AFTER_SECS,
  });
  const cost = { algorithm: "argon2id", memoryCost: settings.memCostKib, timeCost: settings.iterations } as const;
  const peppered = (secret: Uint8Array) => createHmac("sha256", settings.pepper).update(secret).digest();

  /** Nobody's: it costs what a hash that is made today costs. */
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64").replace(/=+$/, "");
  const presentCost = `$argon2id$v=19$m=${settings.memCostKib},t=${settings.iterations},p=1$`;
  const decoy = `${presentCost}${base64(randomBytes(32))}$${base64(randomBytes(32))}`;
  const verifyDecoy = (secret: Uint8Array) => Bun.password.verify(peppered(secret), decoy);
  const isOutdated = (stored: string) => !stored.startsWith(PREFIX + presentCost);

  function verifyStored(stored: string, secret: Uint8Array): Promise<boolean> {
    if (stored.startsWith(PREFIX)) return Bun.password.verify(peppered(secret), stored.slice(PREFIX.length));
    return verifyReferenceHash(stored, secret, settings.pepper);
  }

  async function verifyNow(stored: string | undefined, secret: Uint8Array): Promise<boolean> {
    if (stored === undefined) {
      await verifyDecoy(secret);
      return false;
    }
    if (!isOutdated(stored)) return verifyStored(stored, secret);
    // A hash of a lower cost would tell by its time that there is an account: the decoy runs beside it.
    const [isRight] = await Promise.all([verifyStored(stored, secret), verifyDecoy(secret)]);
    return isRight;
  }

  return {
    hash: (secret) => queue.run(async () => PREFIX + (await Bun.password.hash(peppered(secret), cost))),
    verify: (stored, secret) => queue.run(() => verifyNow(stored, secret)),
    isOutdated,
    pending: () => queue.pending,
    running: () => queue.running,
  };
}

/**
 * Verifies `$argon2id$v=19$m=…,t=…,p=…$salt$hash` keyed with a secret (RFC 9106 section 3.1, parameter K).
 *
 * @throws Error when the string has another form
 */
async function verifyReferenceHash(stored: string, message: Uint8Array, secret: Uint8Array): Promise<boolean> {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(stored);
  if (!match) throw new Error("a stored password hash is not an argon2id string of version 19");
  const [, memory, passes, parallelism, salt = "", hash = ""] = match;
  const expected = Buffer.from(hash, "base64");
  const computed = await argon2Async("argon2id", {
    message,
    nonce: Buffer.from(salt, "base64"),
    parallelism: Number(parallelism),
    tagLength: expected.length,
    memory: Number(memory),
    passes: Number(passes),
    secret,
  });
  return timingSafeEqual(computed, expected);
}
