-- Removes accounts whose address was not proven until its deadline. Who holds a passcode that is still good may be
-- proving it right now, and is left in peace until that expires.
-- params: now, rows_max
-- returns: count
with unproven as (
  select id from users
  where verification_deadline < $1
    and not exists (
      select from user_otps where user_id = users.id and otp_hmac is not null and expiration > $1
    )
  limit $2
  for update skip locked
)
delete from users using unproven where users.id = unproven.id
