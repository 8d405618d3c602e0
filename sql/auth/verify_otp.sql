-- Uses up a sign-in passcode and its sign-in token, marks the account as verified, opens a session and reads what a
-- device needs, in one step; a wrong passcode costs one of the attempts, if the token is good. No row when the passcode is wrong, expired, used
-- up or voided, or when the token was used before or is of another epoch than the account.
-- params: user_id, epoch?, token_signature, token_expiration, otp_hmac, now, session_id, refresh_token_hash, session_expiration
-- returns: maybe
with account as (
  select id from users
  where id = $1
    and ($2::uuid is null or token_epoch = $2)
    and not exists (select from blacklisted_tokens where token_signature = $3)
  for key share
),
used as (
  update user_otps set otp_hmac = null
  where user_id = (select id from account)
    and purpose = 'sign-in' and otp_hmac = $5 and expiration > $6 and attempts_left > 0
  returning user_id
),
missed as (
  update user_otps set attempts_left = attempts_left - 1
  where user_id = (select id from account) and purpose = 'sign-in' and otp_hmac <> $5 and attempts_left > 0
),
token_used as (
  insert into blacklisted_tokens (token_signature, token_expiration)
  select $3, $4 from used
  on conflict (token_signature) do nothing
  returning token_signature
),
accepted as (
  select used.user_id from used, token_used
),
verified as (
  update users set verification_deadline = null
  where id in (select user_id from accepted) and verification_deadline is not null
),
opened as (
  insert into sessions (id, user_id, refresh_token_hash, rotated_at, expiration)
  select $7, user_id, $8, $6, $9 from accepted
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
from accepted
join users on users.id = accepted.user_id
join user_preferences on user_preferences.user_id = users.id
join user_keystores on user_keystores.user_id = users.id
