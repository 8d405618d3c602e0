-- The account of an address.
-- params: email
-- returns: maybe
select id as user_id from users where email = $1
