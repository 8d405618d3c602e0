-- The account of an address, with what a recovery key is checked against and what it opens.
-- params: email
-- returns: maybe
-- never null: is_verified
select
  id as user_id,
  email,
  token_epoch,
  verification_deadline is null as is_verified,
  recovery_key_auth_hash_rehashed_with_auth_string_params as recovery_key_auth_hash_rehashed,
  encryption_key_encrypted_with_recovery_key
from users
where email = $1
