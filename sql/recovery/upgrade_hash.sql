-- Rewrites the hash of a recovery key in the present scheme and cost, unless the key was changed meanwhile.
-- params: user_id, previous_hash, next_hash
-- returns: count
update users set recovery_key_auth_hash_rehashed_with_auth_string_params = $3
where id = $1 and recovery_key_auth_hash_rehashed_with_auth_string_params = $2
