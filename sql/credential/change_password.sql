-- Uses up a passcode for a change of the account and writes a new password, in one step. A new epoch voids sign-in tokens
-- and links, every other passcode is voided, and every session but one is revoked (decision A5). A wrong passcode costs
-- one of the attempts. No row when the passcode is wrong, expired, used up or voided.
-- The account's row is locked before its passcodes, as everywhere, so that two changes cannot wait for each other.
-- Voiding waits for a sign-in that uses its passcode right now, so that the session which that opens is revoked too.
-- params: user_id, otp_hmac, now, kept_session?, revoked_until, auth_string_hash, auth_string_hash_salt, auth_string_hash_mem_cost_kib, auth_string_hash_threads, auth_string_hash_iterations, password_encryption_key_salt, password_encryption_key_mem_cost_kib, password_encryption_key_threads, password_encryption_key_iterations, encryption_key_encrypted_with_password
-- returns: maybe
-- never null: revoked_ids
with account as (
  select id from users where id = $1 for no key update
),
used as (
  update user_otps set otp_hmac = null
  from account
  where user_otps.user_id = account.id
    and purpose = 'account-change' and otp_hmac = $2 and expiration > $3 and attempts_left > 0
  returning user_id
),
missed as (
  update user_otps set attempts_left = attempts_left - 1
  where user_id = $1 and purpose = 'account-change' and otp_hmac <> $2 and attempts_left > 0
),
changed as (
  update users set
    token_epoch = gen_random_uuid(),
    auth_string_hash = $6,
    auth_string_hash_salt = $7,
    auth_string_hash_mem_cost_kib = $8,
    auth_string_hash_threads = $9,
    auth_string_hash_iterations = $10,
    password_encryption_key_salt = $11,
    password_encryption_key_mem_cost_kib = $12,
    password_encryption_key_threads = $13,
    password_encryption_key_iterations = $14,
    encryption_key_encrypted_with_password = $15
  from used
  where users.id = used.user_id
  returning users.id, users.email
),
voided as (
  update user_otps set otp_hmac = null
  from changed
  where user_otps.user_id = changed.id and purpose <> 'account-change' and otp_hmac is not null
  returning user_id
)
select email, revoke_sessions(id, $4, $5) as revoked_ids
from changed, (select count(*) from voided) as after_voiding
