-- Uses up a sign-in passcode, marks the account as verified, opens a session and reads what a device needs, in one step;
-- a wrong passcode costs one of the attempts. No row when the passcode is wrong, expired, used up or voided.
-- params: user_id, otp_hmac, now, session_id, refresh_token_hash, session_expiration
-- returns: maybe
with used as (
  update user_otps set otp_hmac = null
  where user_id = $1 and purpose = 'sign-in' and otp_hmac = $2 and expiration > $3 and attempts_left > 0
  returning user_id
),
missed as (
  update user_otps set attempts_left = attempts_left - 1
  where user_id = $1 and purpose = 'sign-in' and otp_hmac <> $2 and attempts_left > 0
),
verified as (
  update users set verification_deadline = null
  where id in (select user_id from used) and verification_deadline is not null
),
opened as (
  insert into sessions (id, user_id, refresh_token_hash, rotated_at, expiration)
  select $4, user_id, $5, $3, $6 from used
)
select
  user_preferences.encrypted_blob as preferences_encrypted,
  user_preferences.version_nonce as preferences_version_nonce,
  user_keystores.encrypted_blob as user_keystore_encrypted,
  user_keystores.version_nonce as user_keystore_version_nonce,
  users.password_encryption_key_salt,
  users.password_encryption_key_mem_cost_kib,
  users.password_encryption_key_threads,
  users.password_encryption_key_iterations,
  users.encryption_key_encrypted_with_password
from used
join users on users.id = used.user_id
join user_preferences on user_preferences.user_id = users.id
join user_keystores on user_keystores.user_id = users.id
