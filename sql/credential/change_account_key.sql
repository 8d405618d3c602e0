-- Replaces everything that a new account key changes, or nothing: both wrapped keys, the recovery key, preferences and
-- keystore. The passcode is used up only when both blobs still have the expected nonces; a wrong one costs an attempt.
-- A new epoch voids sign-in tokens and links, every other passcode is voided, every session but one is revoked (A5).
-- No row without an account.
-- The account's row is locked before anything else of it, as everywhere, so that two changes cannot wait for each other.
-- Voiding waits for a sign-in that uses its passcode right now, so that the session which that opens is revoked too.
-- params: user_id, otp_hmac, now, kept_session?, revoked_until, encryption_key_encrypted_with_password, password_encryption_key_salt?, password_encryption_key_mem_cost_kib?, password_encryption_key_threads?, password_encryption_key_iterations?, recovery_key_hash_salt_for_encryption, recovery_key_hash_salt_for_recovery_auth, recovery_key_hash_mem_cost_kib, recovery_key_hash_threads, recovery_key_hash_iterations, recovery_key_auth_hash_rehashed, encryption_key_encrypted_with_recovery_key, preferences_encrypted, preferences_version_nonce, expected_preferences_version_nonce, user_keystore_encrypted, user_keystore_version_nonce, expected_user_keystore_version_nonce
-- returns: maybe
-- never null: otp_was_right, was_changed
with account as (
  select id, email from users where id = $1 for no key update
),
right_otp as (
  select user_otps.user_id
  from account
  join user_otps on user_otps.user_id = account.id
  where purpose = 'account-change' and otp_hmac = $2 and expiration > $3 and attempts_left > 0
  for update of user_otps
),
current_preferences as (
  select user_preferences.user_id
  from right_otp
  join user_preferences on user_preferences.user_id = right_otp.user_id
  where user_preferences.version_nonce = $20
  for update of user_preferences
),
current_blobs as (
  select user_keystores.user_id
  from current_preferences
  join user_keystores on user_keystores.user_id = current_preferences.user_id
  where user_keystores.version_nonce = $23
  for update of user_keystores
),
used as (
  update user_otps set otp_hmac = null
  from current_blobs
  where user_otps.user_id = current_blobs.user_id and purpose = 'account-change'
),
missed as (
  update user_otps set attempts_left = attempts_left - 1
  where user_id = $1 and purpose = 'account-change' and otp_hmac <> $2 and attempts_left > 0
),
preferences_replaced as (
  update user_preferences set encrypted_blob = $18, version_nonce = $19
  from current_blobs
  where user_preferences.user_id = current_blobs.user_id
),
keystore_replaced as (
  update user_keystores set encrypted_blob = $21, version_nonce = $22
  from current_blobs
  where user_keystores.user_id = current_blobs.user_id
),
changed as (
  update users set
    token_epoch = gen_random_uuid(),
    encryption_key_encrypted_with_password = $6,
    password_encryption_key_salt = coalesce($7, password_encryption_key_salt),
    password_encryption_key_mem_cost_kib = coalesce($8, password_encryption_key_mem_cost_kib),
    password_encryption_key_threads = coalesce($9, password_encryption_key_threads),
    password_encryption_key_iterations = coalesce($10, password_encryption_key_iterations),
    recovery_key_hash_salt_for_encryption = $11,
    recovery_key_hash_salt_for_recovery_auth = $12,
    recovery_key_hash_mem_cost_kib = $13,
    recovery_key_hash_threads = $14,
    recovery_key_hash_iterations = $15,
    recovery_key_auth_hash_rehashed_with_auth_string_params = $16,
    encryption_key_encrypted_with_recovery_key = $17
  from current_blobs
  where users.id = current_blobs.user_id
  returning users.id
),
voided as (
  update user_otps set otp_hmac = null
  from changed
  where user_otps.user_id = changed.id and purpose <> 'account-change' and otp_hmac is not null
  returning user_id
)
select
  account.email,
  exists (select from right_otp) as otp_was_right,
  exists (select from changed) as was_changed,
  (select revoke_sessions(id, $4, $5) from changed, (select count(*) from voided) as after_voiding) as revoked_ids
from account
