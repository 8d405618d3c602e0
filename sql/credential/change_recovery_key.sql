-- Uses up a passcode for a change of the account and writes a new recovery key, in one step. A wrong passcode costs one
-- of the attempts. No row without an account; was_changed is false when the passcode is wrong, expired, used up or voided.
-- The account's row is locked before its passcodes, as everywhere, so that two changes cannot wait for each other.
-- params: user_id, otp_hmac, now, recovery_key_hash_salt_for_encryption, recovery_key_hash_salt_for_recovery_auth, recovery_key_hash_mem_cost_kib, recovery_key_hash_threads, recovery_key_hash_iterations, recovery_key_auth_hash_rehashed, encryption_key_encrypted_with_recovery_key
-- returns: maybe
-- never null: was_changed
with account as (
  select id, email from users where id = $1 for no key update
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
    recovery_key_hash_salt_for_encryption = $4,
    recovery_key_hash_salt_for_recovery_auth = $5,
    recovery_key_hash_mem_cost_kib = $6,
    recovery_key_hash_threads = $7,
    recovery_key_hash_iterations = $8,
    recovery_key_auth_hash_rehashed_with_auth_string_params = $9,
    encryption_key_encrypted_with_recovery_key = $10
  from used
  where users.id = used.user_id
  returning users.id
)
select account.email, exists (select from changed) as was_changed from account
