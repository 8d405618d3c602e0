-- Counts an attempt to confirm an authenticator app before its code is looked at, unless too many codes were wrong since
-- period_floor (then failures is null), and reads what the code is checked with. Nothing is counted where there is
-- nothing to confirm (then id is null). No row without an account.
-- params: user_id, now, period_floor, failures_max
-- returns: maybe
-- nullable: id, secret_encrypted, failures, period_start
with account as (
  -- Locked first, as the deletion of an account does it: so the two cannot wait for each other.
  select id, email from users where id = $1 for key share
),
pending as (
  select user_id, id, secret_encrypted from totp_factors
  where user_id = (select id from account) and confirmation_deadline > $2
),
counted as (
  insert into second_factor_attempts as attempts (user_id, period_start, failures)
  select user_id, $2, 1 from pending
  on conflict (user_id) do update set
    period_start = case when attempts.period_start <= $3 then excluded.period_start else attempts.period_start end,
    failures = case when attempts.period_start <= $3 then 1 else attempts.failures + 1 end
  where attempts.period_start <= $3 or attempts.failures < $4
  returning failures, period_start
)
select
  account.email,
  pending.id,
  pending.secret_encrypted,
  counted.failures,
  coalesce(counted.period_start, earlier.period_start) as period_start
from account
left join pending on true
left join counted on true
left join second_factor_attempts as earlier on earlier.user_id = account.id
