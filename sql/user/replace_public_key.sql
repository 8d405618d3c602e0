-- Replaces a user's public key if the caller knows the present one. No row when the user is gone.
-- params: user_id, public_key_id, public_key, expected_public_key_id
-- returns: maybe
-- never null: was_replaced
with replaced as (
  update users set public_key_id = $2, public_key = $3
  where id = $1 and public_key_id = $4
  returning id
)
select exists (select from replaced) as was_replaced from users where id = $1
