-- Gives an account a new password and a new recovery key, if its recovery key is still the one that was checked. A new
-- epoch voids sign-in tokens and links; all passcodes are voided and all sessions revoked (decision A5). No row when the
-- recovery key was changed meanwhile: of several recoveries with one key, one gets a row.
-- Voiding waits for a sign-in that uses its passcode right now, so that the session which that opens is revoked too.
-- params: user_id, checked_hash, revoked_until, auth_string_hash, auth_string_hash_salt, auth_string_hash_mem_cost_kib, auth_string_hash_threads, auth_string_hash_iterations, encryption_key_encrypted_with_password, password_encryption_key_salt?, password_encryption_key_mem_cost_kib?, password_encryption_key_threads?, password_encryption_key_iterations?, recovery_key_hash_salt_for_encryption, recovery_key_hash_salt_for_recovery_auth, recovery_key_hash_mem_cost_kib, recovery_key_hash_threads, recovery_key_hash_iterations, recovery_key_auth_hash_rehashed, encryption_key_encrypted_with_recovery_key
-- returns: maybe
-- never null: revoked_ids
with recovered as (
  update users set
    token_epoch = gen_random_uuid(),
    auth_string_hash = $4,
    auth_string_hash_salt = $5,
    auth_string_hash_mem_cost_kib = $6,
    auth_string_hash_threads = $7,
    auth_string_hash_iterations = $8,
    encryption_key_encrypted_with_password = $9,
    password_encryption_key_salt = coalesce($10, password_encryption_key_salt),
    password_encryption_key_mem_cost_kib = coalesce($11, password_encryption_key_mem_cost_kib),
    password_encryption_key_threads = coalesce($12, password_encryption_key_threads),
    password_encryption_key_iterations = coalesce($13, password_encryption_key_iterations),
    recovery_key_hash_salt_for_encryption = $14,
    recovery_key_hash_salt_for_recovery_auth = $15,
    recovery_key_hash_mem_cost_kib = $16,
    recovery_key_hash_threads = $17,
    recovery_key_hash_iterations = $18,
    recovery_key_auth_hash_rehashed_with_auth_string_params = $19,
    encryption_key_encrypted_with_recovery_key = $20
  where id = $1
    and recovery_key_auth_hash_rehashed_with_auth_string_params = $2
    and verification_deadline is null
  returning id, email, token_epoch
),
voided as (
  update user_otps set otp_hmac = null
  from recovered
  where user_otps.user_id = recovered.id and otp_hmac is not null
  returning user_id
)
select email, token_epoch, revoke_sessions(id, null, $3) as revoked_ids
from recovered, (select count(*) from voided) as after_voiding
