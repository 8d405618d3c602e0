-- Whether an account has this address that would not give way to a new one (create.sql), to be asked before the expensive
-- hashing. The insert decides.
-- params: email, now
-- returns: one
-- never null: is_taken
select exists (
  select from users
  where email = $1
    and (
      verification_deadline is null
      or exists (
        select from user_otps where user_id = users.id and purpose = 'sign-in' and expiration > $2 and otp_hmac is not null
      )
    )
) as is_taken
