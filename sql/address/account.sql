-- What a change of the address needs to know: the account, and whether an account has the new address that would not
-- give way (user/create.sql). No row when the account is gone.
-- params: user_id, new_email, now
-- returns: maybe
-- never null: is_taken
select
  email,
  auth_string_hash,
  token_epoch,
  exists (
    select from users as holder
    where holder.email = $2
      and (
        holder.verification_deadline is null
        or exists (
          select from user_otps
          where user_id = holder.id and purpose = 'sign-in' and expiration > $3 and otp_hmac is not null
        )
      )
  ) as is_taken
from users
where id = $1
