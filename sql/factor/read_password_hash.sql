-- Reads what the password of an account is checked with.
-- params: user_id
-- returns: maybe
select email, auth_string_hash from users where id = $1
