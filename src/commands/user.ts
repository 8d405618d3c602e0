/** What an operator can see and do about an account. Nothing here reads a blob: the server knows its size, no more. */
import { createInterface } from "node:readline/promises";
import { accessTokensEnd } from "../auth/session.ts";
import type { Config } from "../config.ts";
import { isXwingPublicKey, readRsaPublicKey } from "../crypto/recipientKey.ts";
import { jobs as jobQueries, admin as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { lookupForm } from "../emailAddress.ts";
import { patiently } from "../jobs/deleteAccounts.ts";
import { nowMicros } from "../services.ts";
import { columns, counted, isoTime, jsonText, shownBytes, shownTime } from "./text.ts";

const CLOCK = { now: Date.now };

/**
 * The text of `user list`: one page, in the order of the ids.
 *
 * @param page `after` is the id of the last account of the page before
 */
export async function listUsers(
  db: Db,
  page: { limit: number; after?: string | undefined },
  asJson = false,
): Promise<string> {
  const { limit, after } = page;
  const found = await queries.users(db, { after, now: nowMicros(CLOCK), rows_max: BigInt(limit) + 1n });
  const rows = found.slice(0, limit);
  const next = found.length > limit ? (rows.at(-1)?.id ?? null) : null;
  if (asJson) {
    const users = rows.map(({ id, email, verification_deadline, session_count, ready_for_deletion_time }) => ({
      id,
      email,
      is_verified: verification_deadline === null,
      sessions: Number(session_count),
      deletion_due: isoTime(ready_for_deletion_time),
    }));
    return jsonText({ users, next });
  }
  const cells = rows.map(({ id, email, verification_deadline, session_count, ready_for_deletion_time }) => [
    id,
    email,
    verification_deadline === null ? "yes" : "no",
    String(session_count),
    shownTime(ready_for_deletion_time),
  ]);
  const table = columns([["ID", "E-MAIL", "VERIFIED", "SESSIONS", "DELETION DUE"], ...cells]);
  return next === null ? table : `${table}More: entries-server user list --limit ${limit} --after ${next}\n`;
}

/** The text of `user show`. @throws Error when there is no such account */
export async function showUser(db: Db, email: string, asJson = false): Promise<string> {
  const user = await findUser(db, email);
  return asJson ? jsonText(jsonOf(user)) : factsOf(user);
}

type User = Awaited<ReturnType<typeof findUser>>;

async function findUser(db: Db, email: string) {
  const user = await queries.user(db, { email: lookupForm(email), now: nowMicros(CLOCK) });
  if (!user) throw noSuchUser(email);
  return user;
}

function jsonOf(user: User) {
  return {
    id: user.id,
    email: user.email,
    is_verified: user.verification_deadline === null,
    verification_deadline: isoTime(user.verification_deadline),
    sessions: Number(user.session_count),
    last_session_expires: isoTime(user.last_session_expiration),
    public_key: { id: user.public_key_id, kind: kindOfKey(user.public_key), bytes: user.public_key.length },
    has_totp: user.has_totp,
    passkeys: Number(user.passkey_count),
    recovery_codes_left: user.recovery_codes_left,
    deletion_due: isoTime(user.ready_for_deletion_time),
    failed_deletions: user.deletion_failures ?? 0,
    container_keys_listed_for_deletion: Number(user.listed_keys),
    invitations: Number(user.invitation_count),
    has_performed_bulk_upload: user.has_performed_bulk_upload ?? false,
    keystore_bytes: user.keystore_bytes ?? 0,
    preferences_bytes: user.preferences_bytes ?? 0,
  };
}

function factsOf(user: User): string {
  const deadline = user.verification_deadline;
  const factors = [
    ...(user.has_totp ? ["authenticator app"] : []),
    ...(user.passkey_count > 0n ? [counted(user.passkey_count, "passkey")] : []),
    ...(user.recovery_codes_left > 0 ? [counted(user.recovery_codes_left, "recovery code")] : []),
  ];
  const due = user.ready_for_deletion_time;
  const failures = user.deletion_failures ? `, failed ${counted(user.deletion_failures, "time")}` : "";
  const expiry =
    user.last_session_expiration === null ? "" : `, the last one until ${shownTime(user.last_session_expiration)}`;
  return columns([
    ["id", user.id],
    ["e-mail", user.email],
    ["verified", deadline === null ? "yes" : `no, has until ${shownTime(deadline)}`],
    ["sessions", `${user.session_count}${expiry}`],
    ["public key", `${kindOfKey(user.public_key)}, id ${user.public_key_id}`],
    ["second factors", factors.length === 0 ? "none" : factors.join(", ")],
    ["deletion", due === null ? "not asked for" : `due ${shownTime(due)}${failures}`],
    ["container keys", `${user.listed_keys} listed for deletion; the server does not know of others`],
    ["invitations", `${user.invitation_count} to this account`],
    ["bulk upload", user.has_performed_bulk_upload ? "done" : "not done"],
    ["keystore", `${shownBytes(user.keystore_bytes ?? 0)}, encrypted`],
    ["preferences", `${shownBytes(user.preferences_bytes ?? 0)}, encrypted`],
  ]);
}

function kindOfKey(key: Uint8Array): string {
  if (isXwingPublicKey(key)) return "X-Wing";
  const bits = readRsaPublicKey(key)?.asymmetricKeyDetails?.modulusLength;
  return bits === undefined ? "unknown" : `RSA-${bits}`;
}

/**
 * `user revoke-sessions`. Every process refuses the tokens from now on.
 *
 * @throws Error when there is no such account
 */
export async function revokeSessions(config: Config, db: Db, email: string): Promise<string> {
  const revoked_until = accessTokensEnd({ config, ...CLOCK });
  const revoked = await queries.revoke_sessions(db, { email: lookupForm(email), revoked_until });
  if (!revoked) throw noSuchUser(email);
  const ended = revoked.revoked_ids.filter((id) => id !== revoked.user_id).length;
  return `Ended ${counted(ended, "session")} of account ${revoked.user_id}; their tokens are refused at once.\n`;
}

/**
 * `user delete`: at once, as the job does it when a deletion is due.
 *
 * @param confirm shows the operator what will be deleted and asks
 * @throws Error when there is no such account or the operator does not confirm
 */
export async function deleteUser(
  config: Config,
  db: Db,
  email: string,
  confirm: (facts: string) => Promise<boolean>,
): Promise<string> {
  const user = await findUser(db, email);
  if (!(await confirm(factsOf(user)))) throw new Error("Nothing was deleted.");
  const revoked_ids = await deleteNow(config, db, user.id);
  if (revoked_ids === null) throw noSuchUser(email);
  const ended = revoked_ids.filter((id) => id !== user.id).length;
  return `Deleted account ${user.id} and ended ${counted(ended, "session")}.\n${whatBecame(config, user)}`;
}

/** @returns the sessions that were revoked, null when the account was gone */
function deleteNow(config: Config, db: Db, user_id: string): Promise<readonly string[] | null> {
  return patiently(() =>
    db.begin(async (transaction) => {
      const due_until = nowMicros(CLOCK);
      await queries.make_deletion_due(transaction, { user_id, due_time: due_until });
      const revoked_until = accessTokensEnd({ config, ...CLOCK });
      return (await jobQueries.delete_account(transaction, { user_id, due_until, revoked_until })).revoked_ids;
    }),
  );
}

function whatBecame({ idleContainerAgeMaxDays }: Config, { listed_keys }: User): string {
  const idle =
    idleContainerAgeMaxDays === 0
      ? "ENTRIES_IDLE_CONTAINER_MAX_AGE_DAYS is not set, so they stay for good."
      : `They are removed when nobody has changed them for ${idleContainerAgeMaxDays} days.`;
  return `Removed with it: keystore, preferences, second factors, the invitations it had received, and the
${counted(listed_keys, "container key")} that it had listed for its deletion, with containers that nobody else opens.
What stays: containers that it opened without listing their keys. They are encrypted, and the server stores no link
between them and an account. Other members go on using theirs. Of those that nobody opens any more:
${idle}
`;
}

/** Asks on the terminal, or reads a line from whatever stdin is. */
export async function askOnTerminal(facts: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const closed = new Promise<string>((resolve) => terminal.once("close", () => resolve("")));
  const question = `${facts}Delete this account for good? Type "yes" to do so: `;
  const answer = await Promise.race([terminal.question(question), closed]);
  terminal.close();
  return answer.trim().toLowerCase() === "yes";
}

function noSuchUser(email: string): Error {
  return new Error(`There is no account with the address ${JSON.stringify(email)}.`);
}
