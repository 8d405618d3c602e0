-- Replaces the passcode of an account for one purpose, unless too many were sent since period_floor (decision A7).
-- No row when the account does not exist or was not proven in time, has another epoch than the sign-in token, or the
-- token was used.
-- params: user_id, epoch?, token_signature, purpose, otp_hmac, expiration, attempts, now, period_floor, sent_max
-- returns: maybe
-- nullable: period_start
-- never null: was_stored
with account as (
  select id, email from users
  where id = $1
    and ($2::uuid is null or token_epoch = $2)
    and not exists (select from blacklisted_tokens where token_signature = $3)
    and (verification_deadline is null or verification_deadline > $8)
  for key share
),
stored as (
  insert into user_otps as otp
    (user_id, purpose, otp_hmac, expiration, attempts_left, period_start, sent_in_period)
  select id, $4, $5, $6, $7, $8, 1 from account
  on conflict (user_id, purpose) do update set
    otp_hmac = excluded.otp_hmac,
    expiration = excluded.expiration,
    attempts_left = excluded.attempts_left,
    period_start = case when otp.period_start <= $9 then excluded.period_start else otp.period_start end,
    sent_in_period = case when otp.period_start <= $9 then 1 else otp.sent_in_period + 1 end
  where otp.period_start <= $9 or otp.sent_in_period < $10
  returning user_id
)
select
  account.email,
  exists (select from stored) as was_stored,
  user_otps.period_start
from account
left join user_otps on user_otps.user_id = account.id and user_otps.purpose = $4
