-- Uses up a second factor that was found right and the sign-in token, both or neither, opens a session and reads what a
-- device needs, in one step; the counted attempt is taken back. One of a time step, a recovery code and a passkey's
-- counter is given. No row when it was used or removed meanwhile, or a recovery code is wrong; when the account is gone
-- or has another epoch than the token; or when the token was used.
-- params: user_id, epoch?, token_signature, token_expiration, now, session_id, refresh_token_hash, session_expiration, attempts_period_start, totp_id?, totp_step?, recovery_code_hmac?, passkey_id?, passkey_sign_count?
-- returns: maybe
-- nullable: recovery_codes_left
with account as (
  select id from users
  where id = $1
    and ($2::uuid is null or token_epoch = $2)
    and not exists (select from blacklisted_tokens where token_signature = $3)
  for share
),
-- Looked at under its lock, so that of several requests with one code only the first finds it unused.
found_totp as (
  select user_id from totp_factors
  where user_id = (select id from account)
    and id = $10 and confirmation_deadline is null and last_used_step < $11
  for update
),
found_code as (
  select user_id from second_factors
  where user_id = (select id from account) and $12 = any (recovery_code_hmacs)
  for update
),
found_passkey as (
  select user_id from passkeys
  where user_id = (select id from account)
    and id = $13 and (sign_count < $14 or (sign_count = 0 and $14 = 0))
  for update
),
token_used as (
  insert into blacklisted_tokens (token_signature, token_expiration)
  select $3, $4
  from (
    select user_id from found_totp
    union all
    select user_id from found_code
    union all
    select user_id from found_passkey
  ) as found
  on conflict (token_signature) do nothing
  returning token_signature
),
used_totp as (
  update totp_factors set last_used_step = $11
  where user_id in (select user_id from found_totp, token_used)
),
used_code as (
  update second_factors set recovery_code_hmacs = array_remove(recovery_code_hmacs, $12)
  where user_id in (select user_id from found_code, token_used)
  returning cardinality(recovery_code_hmacs) as codes_left
),
used_passkey as (
  update passkeys set sign_count = $14
  where id = $13 and user_id in (select user_id from found_passkey, token_used)
),
taken_back as (
  update second_factor_attempts set failures = failures - 1
  where user_id in (select id from account, token_used) and period_start = $9 and failures > 0
),
opened as (
  insert into sessions (id, user_id, refresh_token_hash, rotated_at, expiration)
  select $6, account.id, $7, $5, $8 from account, token_used
)
select
  (select codes_left from used_code) as recovery_codes_left,
  user_preferences.encrypted_blob as preferences_encrypted,
  user_preferences.version_nonce as preferences_version_nonce,
  user_keystores.encrypted_blob as user_keystore_encrypted,
  user_keystores.version_nonce as user_keystore_version_nonce,
  users.password_encryption_key_salt,
  users.password_encryption_key_mem_cost_kib,
  users.password_encryption_key_threads,
  users.password_encryption_key_iterations,
  users.encryption_key_encrypted_with_password
from token_used
join users on users.id = $1
join user_preferences on user_preferences.user_id = users.id
join user_keystores on user_keystores.user_id = users.id
