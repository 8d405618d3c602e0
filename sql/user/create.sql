-- Makes an account, with its flags, preferences, keystore and first sign-in passcode. 0 when the address is taken.
-- An account that never proved the address and whose passcode has expired gives way: nobody can keep an address from
-- its owner by signing up with it.
-- params: id, email, auth_string_hash, auth_string_hash_salt, auth_string_hash_mem_cost_kib, auth_string_hash_threads, auth_string_hash_iterations, password_encryption_key_salt, password_encryption_key_mem_cost_kib, password_encryption_key_threads, password_encryption_key_iterations, recovery_key_hash_salt_for_encryption, recovery_key_hash_salt_for_recovery_auth, recovery_key_hash_mem_cost_kib, recovery_key_hash_threads, recovery_key_hash_iterations, recovery_key_auth_hash_rehashed, encryption_key_encrypted_with_password, encryption_key_encrypted_with_recovery_key, public_key_id, public_key, verification_deadline, preferences_encrypted, preferences_version_nonce, user_keystore_encrypted, user_keystore_version_nonce, otp_hmac, otp_expiration, otp_attempts, now, token_epoch
-- returns: count
with displaced as (
  delete from users
  where email = $2
    and verification_deadline is not null
    and not exists (
      select from user_otps where user_id = users.id and purpose = 'sign-in' and expiration > $30 and otp_hmac is not null
    )
  returning id
),
created as (
  insert into users (
    id, email, auth_string_hash, auth_string_hash_salt, auth_string_hash_mem_cost_kib, auth_string_hash_threads,
    auth_string_hash_iterations, password_encryption_key_salt, password_encryption_key_mem_cost_kib,
    password_encryption_key_threads, password_encryption_key_iterations, recovery_key_hash_salt_for_encryption,
    recovery_key_hash_salt_for_recovery_auth, recovery_key_hash_mem_cost_kib, recovery_key_hash_threads,
    recovery_key_hash_iterations, recovery_key_auth_hash_rehashed_with_auth_string_params,
    encryption_key_encrypted_with_password, encryption_key_encrypted_with_recovery_key, public_key_id, public_key,
    verification_deadline, token_epoch
  )
  select
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $31
  from (select count(*) from displaced) as after_displacing
  on conflict (email) do nothing
  returning id
),
flags as (
  insert into user_flags (user_id, has_performed_bulk_upload)
  select id, false from created
),
preferences as (
  insert into user_preferences (user_id, encrypted_blob, version_nonce)
  select id, $23, $24 from created
),
keystore as (
  insert into user_keystores (user_id, encrypted_blob, version_nonce)
  select id, $25, $26 from created
)
insert into user_otps (user_id, purpose, otp_hmac, expiration, attempts_left, period_start, sent_in_period)
select id, 'sign-in', $27, $28, $29, $30, 1 from created
