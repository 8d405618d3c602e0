-- Removes the sign-in challenge that a client presents, and reads the account of the address. Of several requests with
-- one challenge, one finds it.
-- params: address_hmac, nonce, now, email
-- returns: one
-- nullable: user_id, auth_string_hash, token_epoch
-- never null: challenge_was_valid, has_second_factor
with taken as (
  delete from signin_challenges
  where address_hmac = $1 and nonce = $2 and expiration > $3
  returning nonce
)
select
  exists (select from taken) as challenge_was_valid,
  users.id as user_id,
  users.auth_string_hash,
  users.token_epoch,
  coalesce(second_factors.factors, 0) > 0 as has_second_factor
from (select) as always
left join users on users.email = $4
left join second_factors on second_factors.user_id = users.id
