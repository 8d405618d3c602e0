-- Replaces the passcode of an account for one purpose, unless too many were sent since period_floor (decision A7).
-- No row when the account does not exist.
-- params: user_id, purpose, otp_hmac, expiration, attempts, now, period_floor, sent_max
-- returns: maybe
-- nullable: period_start
-- never null: was_stored
with stored as (
  insert into user_otps as otp
    (user_id, purpose, otp_hmac, expiration, attempts_left, period_start, sent_in_period)
  select id, $2, $3, $4, $5, $6, 1 from users where id = $1
  on conflict (user_id, purpose) do update set
    otp_hmac = excluded.otp_hmac,
    expiration = excluded.expiration,
    attempts_left = excluded.attempts_left,
    period_start = case when otp.period_start <= $7 then excluded.period_start else otp.period_start end,
    sent_in_period = case when otp.period_start <= $7 then 1 else otp.sent_in_period + 1 end
  where otp.period_start <= $7 or otp.sent_in_period < $8
  returning user_id
)
select
  users.email,
  exists (select from stored) as was_stored,
  user_otps.period_start
from users
left join user_otps on user_otps.user_id = users.id and user_otps.purpose = $2
where users.id = $1
