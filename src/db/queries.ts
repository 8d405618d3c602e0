// Written by `bun run sql` from the files in sql/. Do not edit.
import auth_adopt_refresh_token from "../../sql/auth/adopt_refresh_token.sql" with { type: "text" };
import auth_blacklist_token from "../../sql/auth/blacklist_token.sql" with { type: "text" };
import auth_count_link_mail from "../../sql/auth/count_link_mail.sql" with { type: "text" };
import auth_create_challenge from "../../sql/auth/create_challenge.sql" with { type: "text" };
import auth_end_session from "../../sql/auth/end_session.sql" with { type: "text" };
import auth_put_otp from "../../sql/auth/put_otp.sql" with { type: "text" };
import auth_revoked_sessions from "../../sql/auth/revoked_sessions.sql" with { type: "text" };
import auth_rotate_refresh_token from "../../sql/auth/rotate_refresh_token.sql" with { type: "text" };
import auth_take_challenge from "../../sql/auth/take_challenge.sql" with { type: "text" };
import auth_verify_otp from "../../sql/auth/verify_otp.sql" with { type: "text" };
import category_create from "../../sql/category/create.sql" with { type: "text" };
import category_replace from "../../sql/category/replace.sql" with { type: "text" };
import category_soft_delete from "../../sql/category/soft_delete.sql" with { type: "text" };
import container_access_keys from "../../sql/container/access_keys.sql" with { type: "text" };
import container_create from "../../sql/container/create.sql" with { type: "text" };
import container_fetch from "../../sql/container/fetch.sql" with { type: "text" };
import container_replace from "../../sql/container/replace.sql" with { type: "text" };
import entry_create from "../../sql/entry/create.sql" with { type: "text" };
import entry_create_with_category from "../../sql/entry/create_with_category.sql" with { type: "text" };
import entry_replace from "../../sql/entry/replace.sql" with { type: "text" };
import entry_soft_delete from "../../sql/entry/soft_delete.sql" with { type: "text" };
import user_create from "../../sql/user/create.sql" with { type: "text" };
import user_has_any from "../../sql/user/has_any.sql" with { type: "text" };
import user_is_address_taken from "../../sql/user/is_address_taken.sql" with { type: "text" };
import user_upgrade_auth_string_hash from "../../sql/user/upgrade_auth_string_hash.sql" with { type: "text" };
import { query } from "./query.ts";

export const auth = {
  /** Opens a session for a refresh token that the reference issued, and lists that token as used. 0 when it was used before, its user is gone, or the user's sessions were revoked since. */
  adopt_refresh_token: query<
    { token_signature: Uint8Array; token_expiration: bigint; session_id: string; user_id: string; refresh_token_hash: Uint8Array; now: bigint; session_expiration: bigint },
    {  },
    "count"
  >("auth/adopt_refresh_token", auth_adopt_refresh_token, [["token_signature", 17], ["token_expiration", 1114], ["session_id", 2950], ["user_id", 2950], ["refresh_token_hash", 17], ["now", 1114], ["session_expiration", 1114]], "count"),
  /** Lists a refresh token that the reference issued as used. 0 when it was listed before. */
  blacklist_token: query<
    { token_signature: Uint8Array; token_expiration: bigint },
    {  },
    "count"
  >("auth/blacklist_token", auth_blacklist_token, [["token_signature", 17], ["token_expiration", 1114]], "count"),
  /** Counts a mail with a link, unless too many were sent to the account since period_floor. No row without an account. */
  count_link_mail: query<
    { user_id: string; purpose: string; now: bigint; period_floor: bigint; sent_max: number },
    { was_counted: boolean; period_start: bigint | null },
    "maybe"
  >("auth/count_link_mail", auth_count_link_mail, [["user_id", 2950], ["purpose", 25], ["now", 1114], ["period_floor", 1114], ["sent_max", 21]], "maybe"),
  /** Stores a fresh sign-in challenge for an address, keeps the newest 16 of the address (decision A6), and reads what the client of that address must hash its password with. The columns are null when no account has the address. */
  create_challenge: query<
    { address_hmac: Uint8Array; nonce: number; expiration: bigint; now: bigint; email: string },
    { auth_string_hash_salt: Uint8Array | null; auth_string_hash_mem_cost_kib: number | null; auth_string_hash_threads: number | null; auth_string_hash_iterations: number | null },
    "one"
  >("auth/create_challenge", auth_create_challenge, [["address_hmac", 17], ["nonce", 23], ["expiration", 1114], ["now", 1114], ["email", 25]], "one"),
  /** Ends a session, so that its refresh token and its access tokens are refused from now on in every process. No row when there is no such session. A refresh token that is not the current one ends the session as well. */
  end_session: query<
    { session_id: string; user_id: string; presented_token_hash: Uint8Array; revoked_until: bigint },
    { token_was_current: boolean; processes_told: boolean },
    "maybe"
  >("auth/end_session", auth_end_session, [["session_id", 2950], ["user_id", 2950], ["presented_token_hash", 17], ["revoked_until", 1114]], "maybe"),
  /** Replaces the passcode of an account for one purpose, unless too many were sent since period_floor (decision A7). No row when the account does not exist, has another epoch than the sign-in token, or the token was used. */
  put_otp: query<
    { user_id: string; epoch?: string | null | undefined; token_signature: Uint8Array; purpose: string; otp_hmac: Uint8Array; expiration: bigint; attempts: number; now: bigint; period_floor: bigint; sent_max: number },
    { email: string; was_stored: boolean; period_start: bigint | null },
    "maybe"
  >("auth/put_otp", auth_put_otp, [["user_id", 2950], ["epoch", 2950], ["token_signature", 17], ["purpose", 25], ["otp_hmac", 17], ["expiration", 1114], ["attempts", 21], ["now", 1114], ["period_floor", 1114], ["sent_max", 21]], "maybe"),
  /** Sessions that ended while access tokens of theirs may still be unexpired. */
  revoked_sessions: query<
    { now: bigint },
    { session_id: string; expiration: bigint },
    "many"
  >("auth/revoked_sessions", auth_revoked_sessions, [["now", 1114]], "many"),
  /** Replaces the refresh token of a session by the next one if the presented one is the current one. A token that was replaced before grace_floor and is presented again ends the session (decision A3), and every process hears of it. */
  rotate_refresh_token: query<
    { session_id: string; presented_token_hash: Uint8Array; next_token_hash: Uint8Array; next_expiration: bigint; now: bigint; grace_floor: bigint; revoked_until: bigint },
    { was_rotated: boolean; was_revoked: boolean },
    "one"
  >("auth/rotate_refresh_token", auth_rotate_refresh_token, [["session_id", 2950], ["presented_token_hash", 17], ["next_token_hash", 17], ["next_expiration", 1114], ["now", 1114], ["grace_floor", 1114], ["revoked_until", 1114]], "one"),
  /** Removes the sign-in challenge that a client presents, and reads the account of the address. Of several requests with one challenge, one finds it. */
  take_challenge: query<
    { address_hmac: Uint8Array; nonce: number; now: bigint; email: string },
    { challenge_was_valid: boolean; user_id: string | null; auth_string_hash: string | null; token_epoch: string | null },
    "one"
  >("auth/take_challenge", auth_take_challenge, [["address_hmac", 17], ["nonce", 23], ["now", 1114], ["email", 25]], "one"),
  /** Uses up a sign-in passcode and its sign-in token, marks the account as verified, opens a session and reads what a device needs, in one step; a wrong passcode costs one of the attempts. No row when the passcode is wrong, expired, used up or voided, or when the token was used before or is of another epoch than the account. */
  verify_otp: query<
    { user_id: string; epoch?: string | null | undefined; token_signature: Uint8Array; token_expiration: bigint; otp_hmac: Uint8Array; now: bigint; session_id: string; refresh_token_hash: Uint8Array; session_expiration: bigint },
    { preferences_encrypted: Uint8Array; preferences_version_nonce: bigint; user_keystore_encrypted: Uint8Array; user_keystore_version_nonce: bigint; password_encryption_key_salt: Uint8Array; password_encryption_key_mem_cost_kib: number; password_encryption_key_threads: number; password_encryption_key_iterations: number; encryption_key_encrypted_with_password: Uint8Array },
    "maybe"
  >("auth/verify_otp", auth_verify_otp, [["user_id", 2950], ["epoch", 2950], ["token_signature", 17], ["token_expiration", 1114], ["otp_hmac", 17], ["now", 1114], ["session_id", 2950], ["refresh_token_hash", 17], ["session_expiration", 1114]], "maybe"),
};

export const category = {
  /** Adds a category to a container. */
  create: query<
    { key_id: string; container_id: string; category_id: string; encrypted_blob: Uint8Array; version_nonce: bigint; modified_timestamp: bigint; categories_max: number },
    { was_created: boolean; read_only: boolean | null; has_room: boolean },
    "one"
  >("category/create", category_create, [["key_id", 2950], ["container_id", 2950], ["category_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20], ["modified_timestamp", 1114], ["categories_max", 23]], "one"),
  /** Replaces a category if the caller has seen its newest version; undoes a soft delete. */
  replace: query<
    { key_id: string; container_id: string; category_id: string; encrypted_blob: Uint8Array; version_nonce: bigint; expected_previous_version_nonce: bigint; categories_max: number },
    { was_replaced: boolean; read_only: boolean | null; current_version_nonce: bigint | null; has_room: boolean },
    "one"
  >("category/replace", category_replace, [["key_id", 2950], ["container_id", 2950], ["category_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20], ["expected_previous_version_nonce", 20], ["categories_max", 23]], "one"),
  /** Makes a category a tombstone and takes it from the entries of its container, tombstoned ones included. The entries keep nonce and time, but each gets a sequence number, so that a synchronising client learns of it. */
  soft_delete: query<
    { key_id: string; container_id: string; category_id: string; version_nonce: bigint },
    { read_only: boolean | null },
    "one"
  >("category/soft_delete", category_soft_delete, [["key_id", 2950], ["container_id", 2950], ["category_id", 2950], ["version_nonce", 20]], "one"),
};

export const container = {
  /** The access keys of (key id, container id) pairs. A pair that matches no row exactly is left out (decision W3). */
  access_keys: query<
    { key_ids: string[]; container_ids: string[] },
    { key_id: string; container_id: string; public_key: Uint8Array; read_only: boolean },
    "many"
  >("container/access_keys", container_access_keys, [["key_ids", 2951], ["container_ids", 2951]], "many"),
  /** Makes a container with its first access key and its categories. Sequence numbers start at 1 (decision C6). */
  create: query<
    { container_id: string; key_id: string; encrypted_blob: Uint8Array; version_nonce: bigint; modified_timestamp: bigint; public_key: Uint8Array; category_ids: string[]; category_blobs: Uint8Array[]; category_nonces: bigint[] },
    {  },
    "count"
  >("container/create", container_create, [["container_id", 2950], ["key_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20], ["modified_timestamp", 1114], ["public_key", 17], ["category_ids", 2951], ["category_blobs", 1001], ["category_nonces", 1016]], "count"),
  /** Containers with their categories and entries, tombstones included, in one snapshot. No row at all unless every (key id, container id) pair is an access key (decision W3). A soft-deleted container comes without its rows. A row's rank is 0 for the container itself, 1 for a category, 2 for an entry. */
  fetch: query<
    { key_ids: string[]; container_ids: string[] },
    { rank: number; id: string; container_id: string; category_id: string | null; encrypted_blob: Uint8Array; version_nonce: bigint; modified_timestamp: bigint; deleted_at: bigint | null },
    "many"
  >("container/fetch", container_fetch, [["key_ids", 2951], ["container_ids", 2951]], "many"),
  /** Replaces a container's own blob if the caller has seen its newest version; undoes a soft delete. */
  replace: query<
    { key_id: string; container_id: string; encrypted_blob: Uint8Array; version_nonce: bigint; expected_previous_version_nonce: bigint },
    { was_replaced: boolean; read_only: boolean | null; current_version_nonce: bigint | null },
    "one"
  >("container/replace", container_replace, [["key_id", 2950], ["container_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20], ["expected_previous_version_nonce", 20]], "one"),
};

export const entry = {
  /** Adds an entry to a container, in a live category of that container or in none. */
  create: query<
    { key_id: string; container_id: string; entry_id: string; encrypted_blob: Uint8Array; version_nonce: bigint; category_id?: string | null | undefined; modified_timestamp: bigint; entries_max: number },
    { was_created: boolean; read_only: boolean | null; category_exists: boolean; has_room: boolean },
    "one"
  >("entry/create", entry_create, [["key_id", 2950], ["container_id", 2950], ["entry_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20], ["category_id", 2950], ["modified_timestamp", 1114], ["entries_max", 23]], "one"),
  /** Adds a category and an entry in it to a container. */
  create_with_category: query<
    { key_id: string; container_id: string; category_id: string; category_encrypted_blob: Uint8Array; category_version_nonce: bigint; entry_id: string; entry_encrypted_blob: Uint8Array; entry_version_nonce: bigint; modified_timestamp: bigint; entries_max: number; categories_max: number },
    { was_created: boolean; read_only: boolean | null; has_room: boolean },
    "one"
  >("entry/create_with_category", entry_create_with_category, [["key_id", 2950], ["container_id", 2950], ["category_id", 2950], ["category_encrypted_blob", 17], ["category_version_nonce", 20], ["entry_id", 2950], ["entry_encrypted_blob", 17], ["entry_version_nonce", 20], ["modified_timestamp", 1114], ["entries_max", 23], ["categories_max", 23]], "one"),
  /** Replaces an entry if the caller has seen its newest version; undoes a soft delete. An absent category removes it. */
  replace: query<
    { key_id: string; container_id: string; entry_id: string; encrypted_blob: Uint8Array; version_nonce: bigint; expected_previous_version_nonce: bigint; category_id?: string | null | undefined; entries_max: number },
    { was_replaced: boolean; read_only: boolean | null; current_version_nonce: bigint | null; category_exists: boolean; has_room: boolean },
    "one"
  >("entry/replace", entry_replace, [["key_id", 2950], ["container_id", 2950], ["entry_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20], ["expected_previous_version_nonce", 20], ["category_id", 2950], ["entries_max", 23]], "one"),
  /** Makes an entry a tombstone: blob emptied, new nonce and time, so that a stale edit is refused (decision W7). Unknown and deleted entries are left alone. */
  soft_delete: query<
    { key_id: string; container_id: string; entry_id: string; version_nonce: bigint },
    { was_deleted: boolean; read_only: boolean | null; was_live: boolean },
    "one"
  >("entry/soft_delete", entry_soft_delete, [["key_id", 2950], ["container_id", 2950], ["entry_id", 2950], ["version_nonce", 20]], "one"),
};

export const user = {
  /** Makes an account, with its flags, preferences, keystore and first sign-in passcode. 0 when the address is taken. An account that never proved the address and whose passcode has expired gives way: nobody can keep an address from its owner by signing up with it. */
  create: query<
    { id: string; email: string; auth_string_hash: string; auth_string_hash_salt: Uint8Array; auth_string_hash_mem_cost_kib: number; auth_string_hash_threads: number; auth_string_hash_iterations: number; password_encryption_key_salt: Uint8Array; password_encryption_key_mem_cost_kib: number; password_encryption_key_threads: number; password_encryption_key_iterations: number; recovery_key_hash_salt_for_encryption: Uint8Array; recovery_key_hash_salt_for_recovery_auth: Uint8Array; recovery_key_hash_mem_cost_kib: number; recovery_key_hash_threads: number; recovery_key_hash_iterations: number; recovery_key_auth_hash_rehashed: string; encryption_key_encrypted_with_password: Uint8Array; encryption_key_encrypted_with_recovery_key: Uint8Array; public_key_id: string; public_key: Uint8Array; verification_deadline: bigint; preferences_encrypted: Uint8Array; preferences_version_nonce: bigint; user_keystore_encrypted: Uint8Array; user_keystore_version_nonce: bigint; otp_hmac: Uint8Array; otp_expiration: bigint; otp_attempts: number; now: bigint; token_epoch: string },
    {  },
    "count"
  >("user/create", user_create, [["id", 2950], ["email", 25], ["auth_string_hash", 25], ["auth_string_hash_salt", 17], ["auth_string_hash_mem_cost_kib", 23], ["auth_string_hash_threads", 23], ["auth_string_hash_iterations", 23], ["password_encryption_key_salt", 17], ["password_encryption_key_mem_cost_kib", 23], ["password_encryption_key_threads", 23], ["password_encryption_key_iterations", 23], ["recovery_key_hash_salt_for_encryption", 17], ["recovery_key_hash_salt_for_recovery_auth", 17], ["recovery_key_hash_mem_cost_kib", 23], ["recovery_key_hash_threads", 23], ["recovery_key_hash_iterations", 23], ["recovery_key_auth_hash_rehashed", 25], ["encryption_key_encrypted_with_password", 17], ["encryption_key_encrypted_with_recovery_key", 17], ["public_key_id", 2950], ["public_key", 17], ["verification_deadline", 1114], ["preferences_encrypted", 17], ["preferences_version_nonce", 20], ["user_keystore_encrypted", 17], ["user_keystore_version_nonce", 20], ["otp_hmac", 17], ["otp_expiration", 1114], ["otp_attempts", 21], ["now", 1114], ["token_epoch", 2950]], "count"),
  /** Whether there is any account at all. */
  has_any: query<
    {  },
    { has_any: boolean },
    "one"
  >("user/has_any", user_has_any, [], "one"),
  /** Whether an account has this address that would not give way to a new one (create.sql), to be asked before the expensive hashing. The insert decides. */
  is_address_taken: query<
    { email: string; now: bigint },
    { is_taken: boolean },
    "one"
  >("user/is_address_taken", user_is_address_taken, [["email", 25], ["now", 1114]], "one"),
  /** Rewrites a password hash of the reference in the present scheme, unless the password was changed meanwhile. */
  upgrade_auth_string_hash: query<
    { user_id: string; previous_hash: string; next_hash: string },
    {  },
    "count"
  >("user/upgrade_auth_string_hash", user_upgrade_auth_string_hash, [["user_id", 2950], ["previous_hash", 25], ["next_hash", 25]], "count"),
};

/** Every query, for the check at start. */
export const allQueries = [...Object.values(auth), ...Object.values(category), ...Object.values(container), ...Object.values(entry), ...Object.values(user)];
