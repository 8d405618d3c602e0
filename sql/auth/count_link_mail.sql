-- Counts a mail with a link, unless too many were sent to the account since period_floor. No row without an account.
-- params: user_id, purpose, now, period_floor, sent_max
-- returns: maybe
-- nullable: period_start
-- never null: was_counted
with account as (
  select id from users where id = $1
  for key share
),
counted as (
  insert into user_otps as sent (user_id, purpose, expiration, attempts_left, period_start, sent_in_period)
  select id, $2, $3, 0, $3, 1 from account
  on conflict (user_id, purpose) do update set
    expiration = excluded.expiration,
    period_start = case when sent.period_start <= $4 then excluded.period_start else sent.period_start end,
    sent_in_period = case when sent.period_start <= $4 then 1 else sent.sent_in_period + 1 end
  where sent.period_start <= $4 or sent.sent_in_period < $5
  returning user_id
)
select exists (select from counted) as was_counted, user_otps.period_start
from account
left join user_otps on user_otps.user_id = account.id and user_otps.purpose = $2
