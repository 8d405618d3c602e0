-- Rewrites a password hash of the reference in the present scheme, unless the password was changed meanwhile.
-- params: user_id, previous_hash, next_hash
-- returns: count
update users set auth_string_hash = $3
where id = $1 and auth_string_hash = $2
