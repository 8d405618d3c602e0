// Written by `bun run sql` from the files in sql/. Do not edit.
import address_account from "../../sql/address/account.sql" with { type: "text" };
import address_change from "../../sql/address/change.sql" with { type: "text" };
import address_is_link_current from "../../sql/address/is_link_current.sql" with { type: "text" };
import admin_database_settings from "../../sql/admin/database_settings.sql" with { type: "text" };
import admin_make_deletion_due from "../../sql/admin/make_deletion_due.sql" with { type: "text" };
import admin_revoke_sessions from "../../sql/admin/revoke_sessions.sql" with { type: "text" };
import admin_user from "../../sql/admin/user.sql" with { type: "text" };
import admin_users from "../../sql/admin/users.sql" with { type: "text" };
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
import backup_end_sessions from "../../sql/backup/end_sessions.sql" with { type: "text" };
import backup_restart_clients from "../../sql/backup/restart_clients.sql" with { type: "text" };
import backup_tables from "../../sql/backup/tables.sql" with { type: "text" };
import category_create from "../../sql/category/create.sql" with { type: "text" };
import category_replace from "../../sql/category/replace.sql" with { type: "text" };
import category_soft_delete from "../../sql/category/soft_delete.sql" with { type: "text" };
import container_access_keys from "../../sql/container/access_keys.sql" with { type: "text" };
import container_compare_versions from "../../sql/container/compare_versions.sql" with { type: "text" };
import container_create from "../../sql/container/create.sql" with { type: "text" };
import container_fetch from "../../sql/container/fetch.sql" with { type: "text" };
import container_leave from "../../sql/container/leave.sql" with { type: "text" };
import container_lock from "../../sql/container/lock.sql" with { type: "text" };
import container_members from "../../sql/container/members.sql" with { type: "text" };
import container_rekey from "../../sql/container/rekey.sql" with { type: "text" };
import container_rekey_categories from "../../sql/container/rekey_categories.sql" with { type: "text" };
import container_rekey_entries from "../../sql/container/rekey_entries.sql" with { type: "text" };
import container_remove_member from "../../sql/container/remove_member.sql" with { type: "text" };
import container_replace from "../../sql/container/replace.sql" with { type: "text" };
import container_take_bulk_upload from "../../sql/container/take_bulk_upload.sql" with { type: "text" };
import container_upload_categories from "../../sql/container/upload_categories.sql" with { type: "text" };
import container_upload_containers from "../../sql/container/upload_containers.sql" with { type: "text" };
import container_upload_entries from "../../sql/container/upload_entries.sql" with { type: "text" };
import credential_change_account_key from "../../sql/credential/change_account_key.sql" with { type: "text" };
import credential_change_password from "../../sql/credential/change_password.sql" with { type: "text" };
import credential_change_recovery_key from "../../sql/credential/change_recovery_key.sql" with { type: "text" };
import credential_find_user from "../../sql/credential/find_user.sql" with { type: "text" };
import deletion_cancel from "../../sql/deletion/cancel.sql" with { type: "text" };
import deletion_find_account from "../../sql/deletion/find_account.sql" with { type: "text" };
import deletion_is_scheduled from "../../sql/deletion/is_scheduled.sql" with { type: "text" };
import deletion_list_keys from "../../sql/deletion/list_keys.sql" with { type: "text" };
import deletion_schedule from "../../sql/deletion/schedule.sql" with { type: "text" };
import entry_create from "../../sql/entry/create.sql" with { type: "text" };
import entry_create_with_category from "../../sql/entry/create_with_category.sql" with { type: "text" };
import entry_replace from "../../sql/entry/replace.sql" with { type: "text" };
import entry_soft_delete from "../../sql/entry/soft_delete.sql" with { type: "text" };
import events_cursors from "../../sql/events/cursors.sql" with { type: "text" };
import events_tell_processes from "../../sql/events/tell_processes.sql" with { type: "text" };
import events_watched from "../../sql/events/watched.sql" with { type: "text" };
import factor_accept from "../../sql/factor/accept.sql" with { type: "text" };
import factor_add_passkey from "../../sql/factor/add_passkey.sql" with { type: "text" };
import factor_begin_attempt from "../../sql/factor/begin_attempt.sql" with { type: "text" };
import factor_begin_totp from "../../sql/factor/begin_totp.sql" with { type: "text" };
import factor_begin_totp_confirmation from "../../sql/factor/begin_totp_confirmation.sql" with { type: "text" };
import factor_confirm_totp from "../../sql/factor/confirm_totp.sql" with { type: "text" };
import factor_list from "../../sql/factor/list.sql" with { type: "text" };
import factor_offer from "../../sql/factor/offer.sql" with { type: "text" };
import factor_put_passkey_challenge from "../../sql/factor/put_passkey_challenge.sql" with { type: "text" };
import factor_read_password_hash from "../../sql/factor/read_password_hash.sql" with { type: "text" };
import factor_remove from "../../sql/factor/remove.sql" with { type: "text" };
import factor_renew_recovery_codes from "../../sql/factor/renew_recovery_codes.sql" with { type: "text" };
import factor_take_enrolment_challenge from "../../sql/factor/take_enrolment_challenge.sql" with { type: "text" };
import invitation_accept from "../../sql/invitation/accept.sql" with { type: "text" };
import invitation_accept_keys from "../../sql/invitation/accept_keys.sql" with { type: "text" };
import invitation_create from "../../sql/invitation/create.sql" with { type: "text" };
import invitation_decline from "../../sql/invitation/decline.sql" with { type: "text" };
import invitation_find_recipient from "../../sql/invitation/find_recipient.sql" with { type: "text" };
import invitation_pending from "../../sql/invitation/pending.sql" with { type: "text" };
import invitation_retract from "../../sql/invitation/retract.sql" with { type: "text" };
import invitation_sender_keys from "../../sql/invitation/sender_keys.sql" with { type: "text" };
import jobs_claim_run from "../../sql/jobs/claim_run.sql" with { type: "text" };
import jobs_clear_accept_keys from "../../sql/jobs/clear_accept_keys.sql" with { type: "text" };
import jobs_clear_blacklisted_tokens from "../../sql/jobs/clear_blacklisted_tokens.sql" with { type: "text" };
import jobs_clear_invitations from "../../sql/jobs/clear_invitations.sql" with { type: "text" };
import jobs_clear_listed_keys from "../../sql/jobs/clear_listed_keys.sql" with { type: "text" };
import jobs_clear_otps from "../../sql/jobs/clear_otps.sql" with { type: "text" };
import jobs_clear_passkey_challenges from "../../sql/jobs/clear_passkey_challenges.sql" with { type: "text" };
import jobs_clear_revoked_sessions from "../../sql/jobs/clear_revoked_sessions.sql" with { type: "text" };
import jobs_clear_sessions from "../../sql/jobs/clear_sessions.sql" with { type: "text" };
import jobs_clear_signin_challenges from "../../sql/jobs/clear_signin_challenges.sql" with { type: "text" };
import jobs_clear_unverified_users from "../../sql/jobs/clear_unverified_users.sql" with { type: "text" };
import jobs_delete_account from "../../sql/jobs/delete_account.sql" with { type: "text" };
import jobs_due_deletions from "../../sql/jobs/due_deletions.sql" with { type: "text" };
import jobs_end_run from "../../sql/jobs/end_run.sql" with { type: "text" };
import jobs_record_failed_deletion from "../../sql/jobs/record_failed_deletion.sql" with { type: "text" };
import jobs_registry from "../../sql/jobs/registry.sql" with { type: "text" };
import jobs_renew_claim from "../../sql/jobs/renew_claim.sql" with { type: "text" };
import ops_database_state from "../../sql/ops/database_state.sql" with { type: "text" };
import ops_job_runs from "../../sql/ops/job_runs.sql" with { type: "text" };
import recovery_find_user from "../../sql/recovery/find_user.sql" with { type: "text" };
import recovery_params from "../../sql/recovery/params.sql" with { type: "text" };
import recovery_recover from "../../sql/recovery/recover.sql" with { type: "text" };
import recovery_upgrade_hash from "../../sql/recovery/upgrade_hash.sql" with { type: "text" };
import session_end from "../../sql/session/end.sql" with { type: "text" };
import session_end_others from "../../sql/session/end_others.sql" with { type: "text" };
import session_list from "../../sql/session/list.sql" with { type: "text" };
import session_set_label from "../../sql/session/set_label.sql" with { type: "text" };
import sync_changes from "../../sql/sync/changes.sql" with { type: "text" };
import sync_delete_idle_containers from "../../sql/sync/delete_idle_containers.sql" with { type: "text" };
import sync_purge_categories from "../../sql/sync/purge_categories.sql" with { type: "text" };
import sync_purge_entries from "../../sql/sync/purge_entries.sql" with { type: "text" };
import user_create from "../../sql/user/create.sql" with { type: "text" };
import user_has_any from "../../sql/user/has_any.sql" with { type: "text" };
import user_is_address_taken from "../../sql/user/is_address_taken.sql" with { type: "text" };
import user_public_key from "../../sql/user/public_key.sql" with { type: "text" };
import user_replace_keystore from "../../sql/user/replace_keystore.sql" with { type: "text" };
import user_replace_preferences from "../../sql/user/replace_preferences.sql" with { type: "text" };
import user_replace_public_key from "../../sql/user/replace_public_key.sql" with { type: "text" };
import user_upgrade_auth_string_hash from "../../sql/user/upgrade_auth_string_hash.sql" with { type: "text" };
import { query } from "./query.ts";

export const address = {
  /** What a change of the address needs to know: the account, and whether an account has the new address that would not give way (user/create.sql). No row when the account is gone. */
  account: query<
    { user_id: string; new_email: string; now: bigint },
    { email: string; auth_string_hash: string; token_epoch: string; is_taken: boolean },
    "maybe"
  >("address/account", address_account, [["user_id", 2950], ["new_email", 25], ["now", 1114]], "maybe"),
  /** Gives an account the address that its link confirms, and answers the former one. The new epoch voids all links and sign-in tokens; passcodes are void too, since they went to the former address. No row when the account is gone or has another epoch than the link. Fails as a unique violation when the address is taken. An account that never proved the address gives way, as at sign-up (user/create.sql). The account is locked before its passcodes, as everywhere. A passcode that was stored while this waited is void too: only an insert that conflicts sees it. */
  change: query<
    { user_id: string; epoch?: string | null | undefined; next_epoch: string; new_email: string; now: bigint },
    { former_email: string },
    "maybe"
  >("address/change", address_change, [["user_id", 2950], ["epoch", 2950], ["next_epoch", 2950], ["new_email", 25], ["now", 1114]], "maybe"),
  /** Whether the account of a link still has the epoch that it had when the link was made. */
  is_link_current: query<
    { user_id: string; epoch?: string | null | undefined },
    { is_current: boolean },
    "one"
  >("address/is_link_current", address_is_link_current, [["user_id", 2950], ["epoch", 2950]], "one"),
};

export const admin = {
  /** What the operator's check wants to know of the database itself. connections_max leaves out those kept for superusers. */
  database_settings: query<
    {  },
    { server_version_num: number; server_encoding: string; fsync: string; connections_max: number; may_create: boolean; is_exposed: boolean; now: bigint },
    "one"
  >("admin/database_settings", admin_database_settings, [], "one"),
  /** Makes the deletion of an account due, whether one was scheduled or not. 0 without an account. */
  make_deletion_due: query<
    { user_id: string; due_time: bigint },
    {  },
    "count"
  >("admin/make_deletion_due", admin_make_deletion_due, [["user_id", 2950], ["due_time", 1114]], "count"),
  /** Ends every session of an account and tells every process. The account's own id, which stands for the reference's tokens, is among what was revoked. No row without an account. */
  revoke_sessions: query<
    { email: string; revoked_until: bigint },
    { user_id: string; revoked_ids: string[] },
    "maybe"
  >("admin/revoke_sessions", admin_revoke_sessions, [["email", 25], ["revoked_until", 1114]], "maybe"),
  /** Everything that the server knows of an account, for the operator; of blobs and of what it signs in with, sizes and kinds only. No row without an account. */
  user: query<
    { email: string; now: bigint },
    { id: string; email: string; verification_deadline: bigint | null; public_key_id: string; public_key: Uint8Array; session_count: bigint; last_session_expiration: bigint | null; has_totp: boolean; passkey_count: bigint; recovery_codes_left: number; ready_for_deletion_time: bigint | null; deletion_failures: number | null; listed_keys: bigint; invitation_count: bigint; has_performed_bulk_upload: boolean | null; preferences_bytes: number | null; keystore_bytes: number | null },
    "maybe"
  >("admin/user", admin_user, [["email", 25], ["now", 1114]], "maybe"),
  /** Lists accounts for the operator, in the order of their ids, from the one after a given id on. */
  users: query<
    { after?: string | null | undefined; now: bigint; rows_max: bigint },
    { id: string; email: string; verification_deadline: bigint | null; session_count: bigint; ready_for_deletion_time: bigint | null },
    "many"
  >("admin/users", admin_users, [["after", 2950], ["now", 1114], ["rows_max", 20]], "many"),
};

export const auth = {
  /** Opens a session for a refresh token that the reference issued, and lists that token as used. 0 when it was used before, its user is gone, or the user's sessions were revoked since. A revocation that runs right now is waited for. */
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
  /** Replaces the passcode of an account for one purpose, unless too many were sent since period_floor (decision A7). No row when the account does not exist or was not proven in time, has another epoch than the sign-in token, or the token was used. */
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
    { challenge_was_valid: boolean; user_id: string | null; auth_string_hash: string | null; token_epoch: string | null; has_second_factor: boolean },
    "one"
  >("auth/take_challenge", auth_take_challenge, [["address_hmac", 17], ["nonce", 23], ["now", 1114], ["email", 25]], "one"),
  /** Uses up a sign-in passcode and its sign-in token, marks the account as verified, opens a session and reads what a device needs, in one step; a wrong passcode costs one of the attempts, if the token is good. No row when the passcode is wrong, expired, used up or voided, or when the token was used before or is of another epoch than the account. */
  verify_otp: query<
    { user_id: string; epoch?: string | null | undefined; token_signature: Uint8Array; token_expiration: bigint; otp_hmac: Uint8Array; now: bigint; session_id: string; refresh_token_hash: Uint8Array; session_expiration: bigint },
    { preferences_encrypted: Uint8Array; preferences_version_nonce: bigint; user_keystore_encrypted: Uint8Array; user_keystore_version_nonce: bigint; password_encryption_key_salt: Uint8Array; password_encryption_key_mem_cost_kib: number; password_encryption_key_threads: number; password_encryption_key_iterations: number; encryption_key_encrypted_with_password: Uint8Array },
    "maybe"
  >("auth/verify_otp", auth_verify_otp, [["user_id", 2950], ["epoch", 2950], ["token_signature", 17], ["token_expiration", 1114], ["otp_hmac", 17], ["now", 1114], ["session_id", 2950], ["refresh_token_hash", 17], ["session_expiration", 1114]], "maybe"),
};

export const backup = {
  /** Ends every session and voids sign-in tokens and the links in mails. Answers how many sessions there were. */
  end_sessions: query<
    { revoked_until: bigint },
    { ended_sessions: bigint },
    "one"
  >("backup/end_sessions", backup_end_sessions, [["revoked_until", 1114]], "one"),
  /** Moves every container's sequence numbers on, past those that were given out after the backup, and makes every client read it from the beginning: whatever cursor it has is of another history. */
  restart_clients: query<
    { gap: bigint },
    {  },
    "count"
  >("backup/restart_clients", backup_restart_clients, [["gap", 20]], "count"),
  /** The tables that a backup holds, with their columns and primary keys. Unlogged tables hold nothing that is worth keeping. */
  tables: query<
    {  },
    { name: string; columns: string[]; key: string[] },
    "many"
  >("backup/tables", backup_tables, [], "many"),
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
  /** Whether the caller knows a container as it is: every live category and entry, and no other, with their newest nonces. The caller of this statement holds the container's lock. */
  compare_versions: query<
    { container_id: string; version_nonce: bigint; category_ids: string[]; category_nonces: bigint[]; entry_ids: string[]; entry_nonces: bigint[] },
    { has_exact_rows: boolean; has_newest_nonces: boolean },
    "one"
  >("container/compare_versions", container_compare_versions, [["container_id", 2950], ["version_nonce", 20], ["category_ids", 2951], ["category_nonces", 1016], ["entry_ids", 2951], ["entry_nonces", 1016]], "one"),
  /** Makes a container with its first access key and its categories. Sequence numbers start at 1 (decision C6). */
  create: query<
    { container_id: string; key_id: string; encrypted_blob: Uint8Array; version_nonce: bigint; modified_timestamp: bigint; public_key: Uint8Array; category_ids: string[]; category_blobs: Uint8Array[]; category_nonces: bigint[] },
    {  },
    "count"
  >("container/create", container_create, [["container_id", 2950], ["key_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20], ["modified_timestamp", 1114], ["public_key", 17], ["category_ids", 2951], ["category_blobs", 1001], ["category_nonces", 1016]], "count"),
  /** Containers with their categories and entries, tombstones included, in one snapshot. No row at all unless every (key id, container id) pair is an access key (decision W3). A soft-deleted container comes without its rows. A row's rank is 0 for the container itself, 1 for a category, 2 for an entry. Rank -1 instead of 0: all rows together have more than bytes_max, so they are left out. */
  fetch: query<
    { key_ids: string[]; container_ids: string[]; bytes_max: bigint },
    { rank: number; id: string; container_id: string; category_id: string | null; encrypted_blob: Uint8Array; version_nonce: bigint; modified_timestamp: bigint; deleted_at: bigint | null },
    "many"
  >("container/fetch", container_fetch, [["key_ids", 2951], ["container_ids", 2951], ["bytes_max", 20]], "many"),
  /** Removes the caller's own key, and the container for good when it was the last one (decision C1). */
  leave: query<
    { key_id: string; container_id: string },
    { read_only: boolean | null; has_left: boolean },
    "one"
  >("container/leave", container_leave, [["key_id", 2950], ["container_id", 2950]], "one"),
  /** Locks a container until the transaction ends; read_only is null when the key does not open it. */
  lock: query<
    { key_id: string; container_id: string },
    { read_only: boolean | null },
    "one"
  >("container/lock", container_lock, [["key_id", 2950], ["container_id", 2950]], "one"),
  /** Every access key of a container, by id. */
  members: query<
    { container_id: string },
    { key_id: string; read_only: boolean },
    "many"
  >("container/members", container_members, [["container_id", 2950]], "many"),
  /** Replaces a container's own blob; a tombstone stays one. Whoever runs this has locked the container and compared nonces. */
  rekey: query<
    { container_id: string; encrypted_blob: Uint8Array; version_nonce: bigint },
    {  },
    "count"
  >("container/rekey", container_rekey, [["container_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20]], "count"),
  /** Replaces blobs of categories. `blobs` holds them end to end, the first byte at offset 1. Whoever runs this has locked the container and compared ids and nonces. */
  rekey_categories: query<
    { container_id: string; ids: string[]; version_nonces: bigint[]; blobs: Uint8Array; offsets: number[]; lengths: number[] },
    {  },
    "count"
  >("container/rekey_categories", container_rekey_categories, [["container_id", 2950], ["ids", 2951], ["version_nonces", 1016], ["blobs", 17], ["offsets", 1007], ["lengths", 1007]], "count"),
  /** Replaces blobs of entries. `blobs` holds them end to end, the first byte at offset 1. Whoever runs this has locked the container and compared ids and nonces. */
  rekey_entries: query<
    { container_id: string; ids: string[]; version_nonces: bigint[]; blobs: Uint8Array; offsets: number[]; lengths: number[] },
    {  },
    "count"
  >("container/rekey_entries", container_rekey_entries, [["container_id", 2950], ["ids", 2951], ["version_nonces", 1016], ["blobs", 17], ["offsets", 1007], ["lengths", 1007]], "count"),
  /** Removes another member's key, and ends all invitations to the container. Does nothing for the caller's own key, and unless the caller may write. */
  remove_member: query<
    { key_id: string; container_id: string; removed_key_id: string },
    { read_only: boolean | null; was_removed: boolean },
    "one"
  >("container/remove_member", container_remove_member, [["key_id", 2950], ["container_id", 2950], ["removed_key_id", 2950]], "one"),
  /** Replaces a container's own blob if the caller has seen its newest version; undoes a soft delete. */
  replace: query<
    { key_id: string; container_id: string; encrypted_blob: Uint8Array; version_nonce: bigint; expected_previous_version_nonce: bigint },
    { was_replaced: boolean; read_only: boolean | null; current_version_nonce: bigint | null },
    "one"
  >("container/replace", container_replace, [["key_id", 2950], ["container_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20], ["expected_previous_version_nonce", 20]], "one"),
  /** Notes that a user has used the one bulk upload of the account. Touches no row when that was before, or without account. */
  take_bulk_upload: query<
    { user_id: string },
    {  },
    "count"
  >("container/take_bulk_upload", container_take_bulk_upload, [["user_id", 2950]], "count"),
  /** Adds categories to containers that the same transaction has added. `blobs` holds their blobs end to end, the first byte at offset 1. */
  upload_categories: query<
    { modified_timestamp: bigint; ids: string[]; container_ids: string[]; version_nonces: bigint[]; sequences: bigint[]; blobs: Uint8Array; offsets: number[]; lengths: number[] },
    {  },
    "count"
  >("container/upload_categories", container_upload_categories, [["modified_timestamp", 1114], ["ids", 2951], ["container_ids", 2951], ["version_nonces", 1016], ["sequences", 1016], ["blobs", 17], ["offsets", 1007], ["lengths", 1007]], "count"),
  /** Adds containers, each with its first access key. `blobs` holds the containers' blobs end to end, the first byte at offset 1; `public_keys` holds keys of 32 bytes end to end. */
  upload_containers: query<
    { modified_timestamp: bigint; ids: string[]; version_nonces: bigint[]; blobs: Uint8Array; offsets: number[]; lengths: number[]; last_sequences: bigint[]; key_ids: string[]; public_keys: Uint8Array },
    {  },
    "count"
  >("container/upload_containers", container_upload_containers, [["modified_timestamp", 1114], ["ids", 2951], ["version_nonces", 1016], ["blobs", 17], ["offsets", 1007], ["lengths", 1007], ["last_sequences", 1016], ["key_ids", 2951], ["public_keys", 17]], "count"),
  /** Adds entries to containers and categories that the same transaction has added; an empty category id is none. `blobs` holds their blobs end to end, the first byte at offset 1. */
  upload_entries: query<
    { modified_timestamp: bigint; ids: string[]; container_ids: string[]; category_ids: string[]; version_nonces: bigint[]; sequences: bigint[]; blobs: Uint8Array; offsets: number[]; lengths: number[] },
    {  },
    "count"
  >("container/upload_entries", container_upload_entries, [["modified_timestamp", 1114], ["ids", 2951], ["container_ids", 2951], ["category_ids", 1009], ["version_nonces", 1016], ["sequences", 1016], ["blobs", 17], ["offsets", 1007], ["lengths", 1007]], "count"),
};

export const credential = {
  /** Replaces everything that a new account key changes, or nothing: both wrapped keys, the recovery key, preferences and keystore. The passcode is used up only when both blobs still have the expected nonces; a wrong one costs an attempt. A new epoch voids sign-in tokens and links, every other passcode is voided, every session but one is revoked (A5). No row without an account. The account's row is locked before anything else of it, as everywhere, so that two changes cannot wait for each other. Voiding waits for a sign-in that uses its passcode right now, so that the session which that opens is revoked too. */
  change_account_key: query<
    { user_id: string; otp_hmac: Uint8Array; now: bigint; kept_session?: string | null | undefined; revoked_until: bigint; encryption_key_encrypted_with_password: Uint8Array; password_encryption_key_salt?: Uint8Array | null | undefined; password_encryption_key_mem_cost_kib?: number | null | undefined; password_encryption_key_threads?: number | null | undefined; password_encryption_key_iterations?: number | null | undefined; recovery_key_hash_salt_for_encryption: Uint8Array; recovery_key_hash_salt_for_recovery_auth: Uint8Array; recovery_key_hash_mem_cost_kib: number; recovery_key_hash_threads: number; recovery_key_hash_iterations: number; recovery_key_auth_hash_rehashed: string; encryption_key_encrypted_with_recovery_key: Uint8Array; preferences_encrypted: Uint8Array; preferences_version_nonce: bigint; expected_preferences_version_nonce: bigint; user_keystore_encrypted: Uint8Array; user_keystore_version_nonce: bigint; expected_user_keystore_version_nonce: bigint },
    { email: string; otp_was_right: boolean; was_changed: boolean; revoked_ids: string[] | null },
    "maybe"
  >("credential/change_account_key", credential_change_account_key, [["user_id", 2950], ["otp_hmac", 17], ["now", 1114], ["kept_session", 2950], ["revoked_until", 1114], ["encryption_key_encrypted_with_password", 17], ["password_encryption_key_salt", 17], ["password_encryption_key_mem_cost_kib", 23], ["password_encryption_key_threads", 23], ["password_encryption_key_iterations", 23], ["recovery_key_hash_salt_for_encryption", 17], ["recovery_key_hash_salt_for_recovery_auth", 17], ["recovery_key_hash_mem_cost_kib", 23], ["recovery_key_hash_threads", 23], ["recovery_key_hash_iterations", 23], ["recovery_key_auth_hash_rehashed", 25], ["encryption_key_encrypted_with_recovery_key", 17], ["preferences_encrypted", 17], ["preferences_version_nonce", 20], ["expected_preferences_version_nonce", 20], ["user_keystore_encrypted", 17], ["user_keystore_version_nonce", 20], ["expected_user_keystore_version_nonce", 20]], "maybe"),
  /** Uses up a passcode for a change of the account and writes a new password, in one step. A new epoch voids sign-in tokens and links, every other passcode is voided, and every session but one is revoked (decision A5). A wrong passcode costs one of the attempts. No row when the passcode is wrong, expired, used up or voided. The account's row is locked before its passcodes, as everywhere, so that two changes cannot wait for each other. Voiding waits for a sign-in that uses its passcode right now, so that the session which that opens is revoked too. */
  change_password: query<
    { user_id: string; otp_hmac: Uint8Array; now: bigint; kept_session?: string | null | undefined; revoked_until: bigint; auth_string_hash: string; auth_string_hash_salt: Uint8Array; auth_string_hash_mem_cost_kib: number; auth_string_hash_threads: number; auth_string_hash_iterations: number; password_encryption_key_salt: Uint8Array; password_encryption_key_mem_cost_kib: number; password_encryption_key_threads: number; password_encryption_key_iterations: number; encryption_key_encrypted_with_password: Uint8Array },
    { email: string; revoked_ids: string[] },
    "maybe"
  >("credential/change_password", credential_change_password, [["user_id", 2950], ["otp_hmac", 17], ["now", 1114], ["kept_session", 2950], ["revoked_until", 1114], ["auth_string_hash", 25], ["auth_string_hash_salt", 17], ["auth_string_hash_mem_cost_kib", 23], ["auth_string_hash_threads", 23], ["auth_string_hash_iterations", 23], ["password_encryption_key_salt", 17], ["password_encryption_key_mem_cost_kib", 23], ["password_encryption_key_threads", 23], ["password_encryption_key_iterations", 23], ["encryption_key_encrypted_with_password", 17]], "maybe"),
  /** Uses up a passcode for a change of the account and writes a new recovery key, in one step. A wrong passcode costs one of the attempts. No row without an account; was_changed is false when the passcode is wrong, expired, used up or voided. The account's row is locked before its passcodes, as everywhere, so that two changes cannot wait for each other. */
  change_recovery_key: query<
    { user_id: string; otp_hmac: Uint8Array; now: bigint; recovery_key_hash_salt_for_encryption: Uint8Array; recovery_key_hash_salt_for_recovery_auth: Uint8Array; recovery_key_hash_mem_cost_kib: number; recovery_key_hash_threads: number; recovery_key_hash_iterations: number; recovery_key_auth_hash_rehashed: string; encryption_key_encrypted_with_recovery_key: Uint8Array },
    { email: string; was_changed: boolean },
    "maybe"
  >("credential/change_recovery_key", credential_change_recovery_key, [["user_id", 2950], ["otp_hmac", 17], ["now", 1114], ["recovery_key_hash_salt_for_encryption", 17], ["recovery_key_hash_salt_for_recovery_auth", 17], ["recovery_key_hash_mem_cost_kib", 23], ["recovery_key_hash_threads", 23], ["recovery_key_hash_iterations", 23], ["recovery_key_auth_hash_rehashed", 25], ["encryption_key_encrypted_with_recovery_key", 17]], "maybe"),
  /** The account of an address. */
  find_user: query<
    { email: string },
    { user_id: string },
    "maybe"
  >("credential/find_user", credential_find_user, [["email", 25]], "maybe"),
};

export const deletion = {
  /** Cancels the deletion of an account, scheduled or only asked for. False without an account. */
  cancel: query<
    { user_id: string; next_epoch: string },
    { was_cancelled: boolean },
    "one"
  >("deletion/cancel", deletion_cancel, [["user_id", 2950], ["next_epoch", 2950]], "one"),
  /** The account of a deletion link, and whether its deletion is scheduled already. No row when the account is gone or does not honour the link any more. */
  find_account: query<
    { user_id: string; epoch?: string | null | undefined; token_signature: Uint8Array },
    { email: string; is_scheduled: boolean; link_was_used: boolean },
    "maybe"
  >("deletion/find_account", deletion_find_account, [["user_id", 2950], ["epoch", 2950], ["token_signature", 17]], "maybe"),
  /** Whether the deletion of an account is scheduled. No row without an account. */
  is_scheduled: query<
    { user_id: string },
    { is_scheduled: boolean },
    "maybe"
  >("deletion/is_scheduled", deletion_is_scheduled, [["user_id", 2950]], "maybe"),
  /** Lists keys that shall go with an account, and reads where the link that confirms it is mailed to. Listing a key again keeps the later time. No row without an account; nothing is listed unless every pair opens a container. */
  list_keys: query<
    { user_id: string; key_ids: string[]; container_ids: string[]; delete_me_time: bigint },
    { email: string; token_epoch: string; all_exist: boolean },
    "maybe"
  >("deletion/list_keys", deletion_list_keys, [["user_id", 2950], ["key_ids", 2951], ["container_ids", 2951], ["delete_me_time", 1114]], "maybe"),
  /** Schedules the deletion of a link's account, uses the link up, and keeps the listed keys until keys_kept_until at least. No row when the account is gone or does not honour the link any more. Of several requests at once one schedules. */
  schedule: query<
    { user_id: string; epoch?: string | null | undefined; token_signature: Uint8Array; token_expiration: bigint; ready_time: bigint; keys_kept_until: bigint },
    { email: string; was_scheduled: boolean; link_was_used: boolean; is_scheduled: boolean },
    "maybe"
  >("deletion/schedule", deletion_schedule, [["user_id", 2950], ["epoch", 2950], ["token_signature", 17], ["token_expiration", 1114], ["ready_time", 1114], ["keys_kept_until", 1114]], "maybe"),
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

export const events = {
  /** The newest sequence number of containers that were just changed. */
  cursors: query<
    { container_ids: string[] },
    { container_id: string; last_sequence: bigint },
    "many"
  >("events/cursors", events_cursors, [["container_ids", 2951]], "many"),
  /** Tells every process which containers have changed, 200 in one notification: it may have 8,000 bytes. */
  tell_processes: query<
    { container_ids: string[] },
    { notifications: bigint },
    "one"
  >("events/tell_processes", events_tell_processes, [["container_ids", 2951]], "one"),
  /** Which of some keys still open their containers, and how far these have come. */
  watched: query<
    { key_ids: string[]; container_ids: string[] },
    { key_id: string; container_id: string; last_sequence: bigint },
    "many"
  >("events/watched", events_watched, [["key_ids", 2951], ["container_ids", 2951]], "many"),
};

export const factor = {
  /** Uses up a second factor that was found right and the sign-in token, both or neither, opens a session and reads what a device needs, in one step; the counted attempt is taken back. One of a time step, a recovery code and a passkey's counter is given. No row when it was used or removed meanwhile, or a recovery code is wrong; when the account is gone or has another epoch than the token; or when the token was used. */
  accept: query<
    { user_id: string; epoch?: string | null | undefined; token_signature: Uint8Array; token_expiration: bigint; now: bigint; session_id: string; refresh_token_hash: Uint8Array; session_expiration: bigint; attempts_period_start: bigint; totp_id?: string | null | undefined; totp_step?: bigint | null | undefined; recovery_code_hmac?: Uint8Array | null | undefined; passkey_id?: string | null | undefined; passkey_sign_count?: bigint | null | undefined },
    { recovery_codes_left: number | null; preferences_encrypted: Uint8Array; preferences_version_nonce: bigint; user_keystore_encrypted: Uint8Array; user_keystore_version_nonce: bigint; password_encryption_key_salt: Uint8Array; password_encryption_key_mem_cost_kib: number; password_encryption_key_threads: number; password_encryption_key_iterations: number; encryption_key_encrypted_with_password: Uint8Array },
    "maybe"
  >("factor/accept", factor_accept, [["user_id", 2950], ["epoch", 2950], ["token_signature", 17], ["token_expiration", 1114], ["now", 1114], ["session_id", 2950], ["refresh_token_hash", 17], ["session_expiration", 1114], ["attempts_period_start", 1114], ["totp_id", 2950], ["totp_step", 20], ["recovery_code_hmac", 17], ["passkey_id", 2950], ["passkey_sign_count", 20]], "maybe"),
  /** Adds a passkey, unless it is known already or the account has too many factors, and gives the account recovery codes if this is its first factor. No row without an account. */
  add_passkey: query<
    { user_id: string; id: string; credential_id: Uint8Array; public_key: Uint8Array; sign_count: bigint; transports: string[]; label_encrypted?: Uint8Array | null | undefined; factors_max: number; recovery_code_hmacs: Uint8Array[] },
    { had_room: boolean; was_added: boolean; is_first: boolean },
    "maybe"
  >("factor/add_passkey", factor_add_passkey, [["user_id", 2950], ["id", 2950], ["credential_id", 17], ["public_key", 17], ["sign_count", 20], ["transports", 1009], ["label_encrypted", 17], ["factors_max", 23], ["recovery_code_hmacs", 1001]], "maybe"),
  /** Counts an attempt to sign in with a second factor before it is looked at, unless too many were wrong since period_floor (then failures is null), and reads what it is checked with. A presented passkey uses up the challenge of the sign-in token. No row when the account is gone, has another epoch than the token, or the token was used. */
  begin_attempt: query<
    { user_id: string; epoch?: string | null | undefined; token_signature: Uint8Array; now: bigint; period_floor: bigint; failures_max: number; credential_id?: Uint8Array | null | undefined },
    { email: string; failures: number | null; period_start: bigint | null; totp_id: string | null; totp_secret_encrypted: Uint8Array | null; passkey_id: string | null; passkey_public_key: Uint8Array | null; passkey_sign_count: bigint | null; passkey_challenge: Uint8Array | null },
    "maybe"
  >("factor/begin_attempt", factor_begin_attempt, [["user_id", 2950], ["epoch", 2950], ["token_signature", 17], ["now", 1114], ["period_floor", 1114], ["failures_max", 23], ["credential_id", 17]], "maybe"),
  /** Stores the secret of an authenticator app that is to be confirmed, in place of one that never was. A confirmed one stays. No row without an account. */
  begin_totp: query<
    { user_id: string; id: string; secret_encrypted: Uint8Array; confirmation_deadline: bigint },
    { was_stored: boolean },
    "maybe"
  >("factor/begin_totp", factor_begin_totp, [["user_id", 2950], ["id", 2950], ["secret_encrypted", 17], ["confirmation_deadline", 1114]], "maybe"),
  /** Counts an attempt to confirm an authenticator app before its code is looked at, unless too many codes were wrong since period_floor (then failures is null), and reads what the code is checked with. Nothing is counted where there is nothing to confirm (then id is null). No row without an account. */
  begin_totp_confirmation: query<
    { user_id: string; now: bigint; period_floor: bigint; failures_max: number },
    { email: string; id: string | null; secret_encrypted: Uint8Array | null; failures: number | null; period_start: bigint | null },
    "maybe"
  >("factor/begin_totp_confirmation", factor_begin_totp_confirmation, [["user_id", 2950], ["now", 1114], ["period_floor", 1114], ["failures_max", 23]], "maybe"),
  /** Confirms an authenticator app with the time step of its first code, gives the account recovery codes if this is its first factor, and takes the counted attempt back. No row when it was confirmed, replaced or removed meanwhile. */
  confirm_totp: query<
    { user_id: string; id: string; step: bigint; now: bigint; recovery_code_hmacs: Uint8Array[]; attempts_period_start: bigint },
    { is_first: boolean },
    "maybe"
  >("factor/confirm_totp", factor_confirm_totp, [["user_id", 2950], ["id", 2950], ["step", 20], ["now", 1114], ["recovery_code_hmacs", 1001], ["attempts_period_start", 1114]], "maybe"),
  /** Reads the confirmed factors of an account, the authenticator app first. An account without any has one row, of nulls and no recovery codes; no row without an account. */
  list: query<
    { user_id: string },
    { id: string | null; kind: string | null; label_encrypted: Uint8Array | null; recovery_codes_left: number },
    "many"
  >("factor/list", factor_list, [["user_id", 2950]], "many"),
  /** Reads which second factors a sign-in can be finished with. No row when the account is gone, has another epoch than the sign-in token, or the token was used. */
  offer: query<
    { user_id: string; epoch?: string | null | undefined; token_signature: Uint8Array },
    { totp: boolean; passkey: boolean; recovery_codes_left: number },
    "maybe"
  >("factor/offer", factor_offer, [["user_id", 2950], ["epoch", 2950], ["token_signature", 17]], "maybe"),
  /** Stores the challenge for a passkey, in place of an earlier one that was given to the same token or session, and reads the passkeys of the account: a row each, or one of nulls. No row when the account is gone, has another epoch than the sign-in token, or the token was used. */
  put_passkey_challenge: query<
    { user_id: string; epoch?: string | null | undefined; purpose: string; binding: Uint8Array; challenge: Uint8Array; expiration: bigint },
    { email: string; factors: number; credential_id: Uint8Array | null; transports: string[] | null },
    "many"
  >("factor/put_passkey_challenge", factor_put_passkey_challenge, [["user_id", 2950], ["epoch", 2950], ["purpose", 25], ["binding", 17], ["challenge", 17], ["expiration", 1114]], "many"),
  /** Reads what the password of an account is checked with. */
  read_password_hash: query<
    { user_id: string },
    { email: string; auth_string_hash: string },
    "maybe"
  >("factor/read_password_hash", factor_read_password_hash, [["user_id", 2950]], "maybe"),
  /** Removes a factor of an account, confirmed or not; with the last confirmed one go the recovery codes. No row when the account has no such factor. */
  remove: query<
    { user_id: string; id: string },
    { email: string; was_confirmed: boolean },
    "maybe"
  >("factor/remove", factor_remove, [["user_id", 2950], ["id", 2950]], "maybe"),
  /** Replaces the recovery codes of an account that has a confirmed factor; 0 for another. */
  renew_recovery_codes: query<
    { user_id: string; recovery_code_hmacs: Uint8Array[] },
    {  },
    "count"
  >("factor/renew_recovery_codes", factor_renew_recovery_codes, [["user_id", 2950], ["recovery_code_hmacs", 1001]], "count"),
  /** Uses up the challenge that a session was given to enrol a passkey; null when there is none or it has expired. No row without an account. */
  take_enrolment_challenge: query<
    { user_id: string; binding: Uint8Array; now: bigint },
    { email: string; challenge: Uint8Array | null },
    "maybe"
  >("factor/take_enrolment_challenge", factor_take_enrolment_challenge, [["user_id", 2950], ["binding", 17], ["now", 1114]], "maybe"),
};

export const invitation = {
  /** Makes an invited user a member: adds an access key, removes the invitation and its accept key, or does nothing (decision C3). `encryption_key_encrypted` and `read_only` are null when nothing was done. */
  accept: query<
    { invitation_id: string; accept_key_id: string; container_id: string; user_id: string; new_key_id: string; new_public_key: Uint8Array },
    { has_account: boolean; encryption_key_encrypted: Uint8Array | null; read_only: boolean | null },
    "one"
  >("invitation/accept", invitation_accept, [["invitation_id", 2950], ["accept_key_id", 2950], ["container_id", 2950], ["user_id", 2950], ["new_key_id", 2950], ["new_public_key", 17]], "one"),
  /** The accept keys of (key id, container id) pairs. A pair that matches no row exactly is left out. */
  accept_keys: query<
    { key_ids: string[]; container_ids: string[] },
    { key_id: string; container_id: string; public_key: Uint8Array; expiration: bigint },
    "many"
  >("invitation/accept_keys", invitation_accept_keys, [["key_ids", 2951], ["container_ids", 2951]], "many"),
  /** Stores an invitation and its accept key; no column links the two. The recipient is found by id: the address may have changed since it was looked up. */
  create: query<
    { key_id: string; container_id: string; recipient_id: string; invitation_id: string; sender_public_key: Uint8Array; encryption_key_encrypted: Uint8Array; container_accept_private_key_encrypted: Uint8Array; container_info_encrypted: Uint8Array; sender_info_encrypted: Uint8Array; container_accept_key_info_encrypted: Uint8Array; container_accept_key_id_encrypted: Uint8Array; share_info_symmetric_key_encrypted: Uint8Array; recipient_public_key_id_used_by_sender: string; recipient_public_key_id_used_by_server: string; creation_bucket: number; accept_key_id: string; accept_public_key: Uint8Array; expiration: bigint; read_only: boolean },
    { read_only: boolean | null; was_created: boolean },
    "one"
  >("invitation/create", invitation_create, [["key_id", 2950], ["container_id", 2950], ["recipient_id", 2950], ["invitation_id", 2950], ["sender_public_key", 17], ["encryption_key_encrypted", 17], ["container_accept_private_key_encrypted", 17], ["container_info_encrypted", 17], ["sender_info_encrypted", 17], ["container_accept_key_info_encrypted", 17], ["container_accept_key_id_encrypted", 17], ["share_info_symmetric_key_encrypted", 17], ["recipient_public_key_id_used_by_sender", 2950], ["recipient_public_key_id_used_by_server", 2950], ["creation_bucket", 21], ["accept_key_id", 2950], ["accept_public_key", 17], ["expiration", 1114], ["read_only", 16]], "one"),
  /** Removes an invitation of a user with its accept key. */
  decline: query<
    { invitation_id: string; accept_key_id: string; container_id: string; user_id: string },
    { has_account: boolean; was_declined: boolean },
    "one"
  >("invitation/decline", invitation_decline, [["invitation_id", 2950], ["accept_key_id", 2950], ["container_id", 2950], ["user_id", 2950]], "one"),
  /** What is to be known before a container can be offered: whether the key may write (null when it does not open the container), the caller's address, and whoever has the recipient's. No row when the caller's account is gone. */
  find_recipient: query<
    { key_id: string; container_id: string; caller_id: string; recipient_email: string },
    { read_only: boolean | null; caller_email: string; recipient_id: string | null; public_key_id: string | null; public_key: Uint8Array | null },
    "maybe"
  >("invitation/find_recipient", invitation_find_recipient, [["key_id", 2950], ["container_id", 2950], ["caller_id", 2950], ["recipient_email", 25]], "maybe"),
  /** The invitations to a user's present address, by id, 500 at most: anybody can send any number. One row without an id when there are none; no row when the account is gone. */
  pending: query<
    { user_id: string },
    { id: string | null; container_accept_key_encrypted: Uint8Array; container_accept_key_id_encrypted: Uint8Array; container_info_encrypted: Uint8Array; sender_info_encrypted: Uint8Array; container_accept_key_info_encrypted: Uint8Array; share_info_symmetric_key_encrypted: Uint8Array; recipient_public_key_id_used_by_sender: string; recipient_public_key_id_used_by_server: string },
    "many"
  >("invitation/pending", invitation_pending, [["user_id", 2950]], "many"),
  /** Removes an invitation, and the accept key that its sender says goes with it. In this order, as accepting does. */
  retract: query<
    { invitation_id: string; accept_key_id?: string | null | undefined },
    {  },
    "count"
  >("invitation/retract", invitation_retract, [["invitation_id", 2950], ["accept_key_id", 2950]], "count"),
  /** The keys of the senders of invitations; unknown ones are left out. */
  sender_keys: query<
    { ids: string[] },
    { id: string; sender_public_key: Uint8Array },
    "many"
  >("invitation/sender_keys", invitation_sender_keys, [["ids", 2951]], "many"),
};

export const jobs = {
  /** Claims the run of a job for this process. 0 when the job is not due or another process runs it. It is due when it never ran, when its last run began at due_floor or before, or (the clock was set back) after due_ceiling, when that run failed or was stopped, and when the process that ran it has not ended it before its claim did. */
  claim_run: query<
    { job_name: string; began_at: bigint; claimed_until: bigint; due_floor: bigint; due_ceiling: bigint },
    {  },
    "count"
  >("jobs/claim_run", jobs_claim_run, [["job_name", 25], ["began_at", 1114], ["claimed_until", 1114], ["due_floor", 1114], ["due_ceiling", 1114]], "count"),
  /** Removes accept keys of invitations whose time is over (containers.md 5.6). */
  clear_accept_keys: query<
    { now: bigint; rows_max: bigint },
    {  },
    "count"
  >("jobs/clear_accept_keys", jobs_clear_accept_keys, [["now", 1114], ["rows_max", 20]], "count"),
  /** Removes used tokens that expired before a time. */
  clear_blacklisted_tokens: query<
    { expired_before: bigint; rows_max: bigint },
    {  },
    "count"
  >("jobs/clear_blacklisted_tokens", jobs_clear_blacklisted_tokens, [["expired_before", 1114], ["rows_max", 20]], "count"),
  /** Removes invitations that were made before a creation bucket (containers.md 5.6). */
  clear_invitations: query<
    { bucket_floor: number; rows_max: bigint },
    {  },
    "count"
  >("jobs/clear_invitations", jobs_clear_invitations, [["bucket_floor", 21], ["rows_max", 20]], "count"),
  /** Removes the keys that were listed for a deletion which was never confirmed. Those of a confirmed one stay until it is done, however late that is (decision A12). */
  clear_listed_keys: query<
    { now: bigint; rows_max: bigint },
    {  },
    "count"
  >("jobs/clear_listed_keys", jobs_clear_listed_keys, [["now", 1114], ["rows_max", 20]], "count"),
  /** Removes passcodes that expired and whose row no longer counts the mails of a sending period (decision A7). */
  clear_otps: query<
    { now: bigint; period_floor: bigint; rows_max: bigint },
    {  },
    "count"
  >("jobs/clear_otps", jobs_clear_otps, [["now", 1114], ["period_floor", 1114], ["rows_max", 20]], "count"),
  /** Removes passkey challenges that expired. */
  clear_passkey_challenges: query<
    { now: bigint; rows_max: bigint },
    {  },
    "count"
  >("jobs/clear_passkey_challenges", jobs_clear_passkey_challenges, [["now", 1114], ["rows_max", 20]], "count"),
  /** Removes revoked sessions whose last access token expired before a time. */
  clear_revoked_sessions: query<
    { expired_before: bigint; rows_max: bigint },
    {  },
    "count"
  >("jobs/clear_revoked_sessions", jobs_clear_revoked_sessions, [["expired_before", 1114], ["rows_max", 20]], "count"),
  /** Removes sessions that expired: their refresh tokens did too. */
  clear_sessions: query<
    { now: bigint; rows_max: bigint },
    {  },
    "count"
  >("jobs/clear_sessions", jobs_clear_sessions, [["now", 1114], ["rows_max", 20]], "count"),
  /** Removes sign-in challenges that expired. */
  clear_signin_challenges: query<
    { now: bigint; rows_max: bigint },
    {  },
    "count"
  >("jobs/clear_signin_challenges", jobs_clear_signin_challenges, [["now", 1114], ["rows_max", 20]], "count"),
  /** Removes accounts whose address was not proven until its deadline. Who holds a passcode that is still good may be proving it right now, and is left in peace until that expires. */
  clear_unverified_users: query<
    { now: bigint; rows_max: bigint },
    {  },
    "count"
  >("jobs/clear_unverified_users", jobs_clear_unverified_users, [["now", 1114], ["rows_max", 20]], "count"),
  /** Deletes an account whose time has come, with the containers that only it opens (decisions A12, C1). The answer is null when the deletion was cancelled, put off or done meanwhile. */
  delete_account: query<
    { user_id: string; due_until: bigint; revoked_until: bigint },
    { revoked_ids: string[] | null },
    "one"
  >("jobs/delete_account", jobs_delete_account, [["user_id", 2950], ["due_until", 1114], ["revoked_until", 1114]], "one"),
  /** Lists accounts whose time has come, the longest due first. Those that failed wait for their retry_at. */
  due_deletions: query<
    { now: bigint; accounts_max: bigint },
    { user_id: string },
    "many"
  >("jobs/due_deletions", jobs_due_deletions, [["now", 1114], ["accounts_max", 20]], "many"),
  /** Gives back the claim of a run and notes how it went. 0 when the claim had expired and another process took over. */
  end_run: query<
    { job_name: string; began_at: bigint; result: string; duration_ms: bigint; has_failed: boolean },
    {  },
    "count"
  >("jobs/end_run", jobs_end_run, [["job_name", 25], ["began_at", 1114], ["result", 25], ["duration_ms", 20], ["has_failed", 16]], "count"),
  /** Notes that an account could not be deleted, and doubles the wait until the next attempt each time. No row when the deletion was cancelled meanwhile. */
  record_failed_deletion: query<
    { user_id: string; error_code: string; now: bigint; first_wait_secs: number; longest_wait_secs: number },
    { failures: number },
    "maybe"
  >("jobs/record_failed_deletion", jobs_record_failed_deletion, [["user_id", 2950], ["error_code", 25], ["now", 1114], ["first_wait_secs", 23], ["longest_wait_secs", 23]], "maybe"),
  /** What is noted of every job that ever ran. */
  registry: query<
    {  },
    { job_name: string; last_run_timestamp: bigint; claimed_until: bigint | null; last_result: string | null; last_duration_ms: bigint | null; failed_runs: number },
    "many"
  >("jobs/registry", jobs_registry, [], "many"),
  /** Keeps the claim of a run that takes longer. */
  renew_claim: query<
    { job_name: string; began_at: bigint; claimed_until: bigint },
    {  },
    "count"
  >("jobs/renew_claim", jobs_renew_claim, [["job_name", 25], ["began_at", 1114], ["claimed_until", 1114]], "count"),
};

export const ops = {
  /** The newest migration, and the connections of the process that asks: all, and those that do nothing, the asking one included. */
  database_state: query<
    {  },
    { schema_version: number; connections: number; idle_connections: number },
    "one"
  >("ops/database_state", ops_database_state, [], "one"),
  /** The last run of each job that ever ran. */
  job_runs: query<
    { now: bigint },
    { job_name: string; last_run_timestamp: bigint; last_result: string | null; last_duration_ms: bigint | null; failed_runs: number; is_running: boolean },
    "many"
  >("ops/job_runs", ops_job_runs, [["now", 1114]], "many"),
};

export const recovery = {
  /** The account of an address, with what a recovery key is checked against and what it opens. */
  find_user: query<
    { email: string },
    { user_id: string; email: string; token_epoch: string; is_verified: boolean; recovery_key_auth_hash_rehashed: string; encryption_key_encrypted_with_recovery_key: Uint8Array },
    "maybe"
  >("recovery/find_user", recovery_find_user, [["email", 25]], "maybe"),
  /** How the client of an address must hash its recovery key: made up, as the caller gives it, where no account has the address. One row of the same size either way, so that neither takes longer. */
  params: query<
    { email: string; phony_salt_for_encryption: Uint8Array; phony_salt_for_recovery_auth: Uint8Array; phony_mem_cost_kib: number; phony_threads: number; phony_iterations: number },
    { recovery_key_hash_salt_for_encryption: Uint8Array; recovery_key_hash_salt_for_recovery_auth: Uint8Array; recovery_key_hash_mem_cost_kib: number; recovery_key_hash_threads: number; recovery_key_hash_iterations: number },
    "one"
  >("recovery/params", recovery_params, [["email", 25], ["phony_salt_for_encryption", 17], ["phony_salt_for_recovery_auth", 17], ["phony_mem_cost_kib", 23], ["phony_threads", 23], ["phony_iterations", 23]], "one"),
  /** Gives an account a new password and a new recovery key, if its recovery key is still the one that was checked. A new epoch voids sign-in tokens and links; all passcodes are voided and all sessions revoked (decision A5). No row when the recovery key was changed meanwhile: of several recoveries with one key, one gets a row. Voiding waits for a sign-in that uses its passcode right now, so that the session which that opens is revoked too. */
  recover: query<
    { user_id: string; checked_hash: string; revoked_until: bigint; auth_string_hash: string; auth_string_hash_salt: Uint8Array; auth_string_hash_mem_cost_kib: number; auth_string_hash_threads: number; auth_string_hash_iterations: number; encryption_key_encrypted_with_password: Uint8Array; password_encryption_key_salt?: Uint8Array | null | undefined; password_encryption_key_mem_cost_kib?: number | null | undefined; password_encryption_key_threads?: number | null | undefined; password_encryption_key_iterations?: number | null | undefined; recovery_key_hash_salt_for_encryption: Uint8Array; recovery_key_hash_salt_for_recovery_auth: Uint8Array; recovery_key_hash_mem_cost_kib: number; recovery_key_hash_threads: number; recovery_key_hash_iterations: number; recovery_key_auth_hash_rehashed: string; encryption_key_encrypted_with_recovery_key: Uint8Array },
    { email: string; token_epoch: string; revoked_ids: string[] },
    "maybe"
  >("recovery/recover", recovery_recover, [["user_id", 2950], ["checked_hash", 25], ["revoked_until", 1114], ["auth_string_hash", 25], ["auth_string_hash_salt", 17], ["auth_string_hash_mem_cost_kib", 23], ["auth_string_hash_threads", 23], ["auth_string_hash_iterations", 23], ["encryption_key_encrypted_with_password", 17], ["password_encryption_key_salt", 17], ["password_encryption_key_mem_cost_kib", 23], ["password_encryption_key_threads", 23], ["password_encryption_key_iterations", 23], ["recovery_key_hash_salt_for_encryption", 17], ["recovery_key_hash_salt_for_recovery_auth", 17], ["recovery_key_hash_mem_cost_kib", 23], ["recovery_key_hash_threads", 23], ["recovery_key_hash_iterations", 23], ["recovery_key_auth_hash_rehashed", 25], ["encryption_key_encrypted_with_recovery_key", 17]], "maybe"),
  /** Rewrites the hash of a recovery key in the present scheme and cost, unless the key was changed meanwhile. */
  upgrade_hash: query<
    { user_id: string; previous_hash: string; next_hash: string },
    {  },
    "count"
  >("recovery/upgrade_hash", recovery_upgrade_hash, [["user_id", 2950], ["previous_hash", 25], ["next_hash", 25]], "count"),
};

export const session = {
  /** Ends a session of the user, if it is one, so that its refresh token and its access tokens are refused from now on in every process. No row when the user is gone. */
  end: query<
    { session_id: string; user_id: string; revoked_until: bigint },
    { was_ended: boolean },
    "maybe"
  >("session/end", session_end, [["session_id", 2950], ["user_id", 2950], ["revoked_until", 1114]], "maybe"),
  /** Ends every session of the user but one, and refuses the tokens of the reference, which name no session. Answers what was revoked; no row when the user is gone. */
  end_others: query<
    { user_id: string; own_session_id: string; revoked_until: bigint },
    { revoked_ids: string[] },
    "maybe"
  >("session/end_others", session_end_others, [["user_id", 2950], ["own_session_id", 2950], ["revoked_until", 1114]], "maybe"),
  /** The sessions of a user that have not expired, the one that lives longest first; one row without an id when there is none. No row when the user is gone. */
  list: query<
    { user_id: string; own_session_id?: string | null | undefined; now: bigint },
    { id: string | null; expiration: bigint | null; is_current: boolean; label_encrypted: Uint8Array | null },
    "many"
  >("session/list", session_list, [["user_id", 2950], ["own_session_id", 2950], ["now", 1114]], "many"),
  /** Labels a session. 0 when it has ended. */
  set_label: query<
    { session_id: string; user_id: string; label_encrypted: Uint8Array },
    {  },
    "count"
  >("session/set_label", session_set_label, [["session_id", 2950], ["user_id", 2950], ["label_encrypted", 17]], "count"),
};

export const sync = {
  /** One page of changes of several containers, as container_changes tells. Rows have rank 0 (the container), 1 (a category) or 2 (an entry); of a row of rank 3 only place, sequence, more, reset and purged_sequence mean something. Place 0: a key does not open its container. */
  changes: query<
    { key_ids: string[]; container_ids: string[]; positions: bigint[]; marks: number[]; bytes_max: number; rows_max: number },
    { place: number; rank: number; container_id: string; id: string; category_id: string | null; encrypted_blob: Uint8Array; version_nonce: bigint; modified_timestamp: bigint; deleted_at: bigint | null; sequence: bigint | null; more: boolean; reset: boolean; purged_sequence: bigint },
    "many"
  >("sync/changes", sync_changes, [["key_ids", 2951], ["container_ids", 2951], ["positions", 1016], ["marks", 1007], ["bytes_max", 23], ["rows_max", 23]], "many"),
  /** Deletes containers in which nothing was changed since a time: neither their own blob nor a category or entry, purged ones included (decision C10). One that is changed right now, or was since the statement began, is left alone. Tombstones of the reference tell by deleted_at alone when they were made. */
  delete_idle_containers: query<
    { changed_before: bigint; containers_max: bigint },
    {  },
    "count"
  >("sync/delete_idle_containers", sync_delete_idle_containers, [["changed_before", 1114], ["containers_max", 20]], "count"),
  /** Removes tombstones of categories, as purge_entries.sql does of entries. One that an entry still refers to stays: the reference left such entries, and clients would not learn that theirs has lost its category. */
  purge_categories: query<
    { deleted_before: bigint; rows_max: bigint },
    { removed: number },
    "one"
  >("sync/purge_categories", sync_purge_categories, [["deleted_before", 1114], ["rows_max", 20]], "one"),
  /** Removes tombstones of entries that were made before a time (decision C10). Containers that somebody changes right now are left for the next run; in the others, clients whose cursor is older than what was removed start over. */
  purge_entries: query<
    { deleted_before: bigint; rows_max: bigint },
    { removed: number },
    "one"
  >("sync/purge_entries", sync_purge_entries, [["deleted_before", 1114], ["rows_max", 20]], "one"),
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
  /** The public key of an address, null when no account has it. No row when the user who asks is gone. */
  public_key: query<
    { asked_by: string; email: string },
    { id: string | null; value: Uint8Array | null },
    "maybe"
  >("user/public_key", user_public_key, [["asked_by", 2950], ["email", 25]], "maybe"),
  /** Replaces a user's keystore if the caller has seen the newest version. No row when the user is gone. */
  replace_keystore: query<
    { user_id: string; encrypted_blob: Uint8Array; version_nonce: bigint; expected_previous_version_nonce: bigint },
    { was_replaced: boolean },
    "maybe"
  >("user/replace_keystore", user_replace_keystore, [["user_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20], ["expected_previous_version_nonce", 20]], "maybe"),
  /** Replaces a user's preferences if the caller has seen the newest version. No row when the user is gone. */
  replace_preferences: query<
    { user_id: string; encrypted_blob: Uint8Array; version_nonce: bigint; expected_previous_version_nonce: bigint },
    { was_replaced: boolean },
    "maybe"
  >("user/replace_preferences", user_replace_preferences, [["user_id", 2950], ["encrypted_blob", 17], ["version_nonce", 20], ["expected_previous_version_nonce", 20]], "maybe"),
  /** Replaces a user's public key if the caller knows the present one. No row when the user is gone. */
  replace_public_key: query<
    { user_id: string; public_key_id: string; public_key: Uint8Array; expected_public_key_id: string },
    { was_replaced: boolean },
    "maybe"
  >("user/replace_public_key", user_replace_public_key, [["user_id", 2950], ["public_key_id", 2950], ["public_key", 17], ["expected_public_key_id", 2950]], "maybe"),
  /** Rewrites a password hash of the reference in the present scheme, unless the password was changed meanwhile. */
  upgrade_auth_string_hash: query<
    { user_id: string; previous_hash: string; next_hash: string },
    {  },
    "count"
  >("user/upgrade_auth_string_hash", user_upgrade_auth_string_hash, [["user_id", 2950], ["previous_hash", 25], ["next_hash", 25]], "count"),
};

/** Every query, for the check at start. */
export const allQueries = [...Object.values(address), ...Object.values(admin), ...Object.values(auth), ...Object.values(backup), ...Object.values(category), ...Object.values(container), ...Object.values(credential), ...Object.values(deletion), ...Object.values(entry), ...Object.values(events), ...Object.values(factor), ...Object.values(invitation), ...Object.values(jobs), ...Object.values(ops), ...Object.values(recovery), ...Object.values(session), ...Object.values(sync), ...Object.values(user)];
