-- How the client of an address must hash its recovery key.
-- params: email
-- returns: maybe
select
  recovery_key_hash_salt_for_encryption,
  recovery_key_hash_salt_for_recovery_auth,
  recovery_key_hash_mem_cost_kib,
  recovery_key_hash_threads,
  recovery_key_hash_iterations
from users
where email = $1
