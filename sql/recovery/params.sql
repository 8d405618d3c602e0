-- How the client of an address must hash its recovery key: made up, as the caller gives it, where no account has the
-- address. One row of the same size either way, so that neither takes longer.
-- params: email, phony_salt_for_encryption, phony_salt_for_recovery_auth, phony_mem_cost_kib, phony_threads, phony_iterations
-- returns: one
-- never null: recovery_key_hash_salt_for_encryption, recovery_key_hash_salt_for_recovery_auth, recovery_key_hash_mem_cost_kib, recovery_key_hash_threads, recovery_key_hash_iterations
select
  coalesce(recovery_key_hash_salt_for_encryption, $2) as recovery_key_hash_salt_for_encryption,
  coalesce(recovery_key_hash_salt_for_recovery_auth, $3) as recovery_key_hash_salt_for_recovery_auth,
  coalesce(recovery_key_hash_mem_cost_kib, $4) as recovery_key_hash_mem_cost_kib,
  coalesce(recovery_key_hash_threads, $5) as recovery_key_hash_threads,
  coalesce(recovery_key_hash_iterations, $6) as recovery_key_hash_iterations
from (select) as always
left join users on users.email = $1
