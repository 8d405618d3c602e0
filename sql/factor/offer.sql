-- Reads which second factors a sign-in can be finished with. No row when the account is gone, has another epoch than
-- the sign-in token, or the token was used.
-- params: user_id, epoch?, token_signature
-- returns: maybe
-- never null: totp, passkey, recovery_codes_left
select
  exists (select from totp_factors where user_id = users.id and confirmation_deadline is null) as totp,
  exists (select from passkeys where user_id = users.id) as passkey,
  coalesce(cardinality(second_factors.recovery_code_hmacs), 0) as recovery_codes_left
from users
left join second_factors on second_factors.user_id = users.id
where users.id = $1
  and ($2::uuid is null or users.token_epoch = $2)
  and not exists (select from blacklisted_tokens where token_signature = $3)
