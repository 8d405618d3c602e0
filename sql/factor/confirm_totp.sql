-- Confirms an authenticator app with the time step of its first code, gives the account recovery codes if this is its
-- first factor, and takes the counted attempt back. No row when it was confirmed, replaced or removed meanwhile.
-- params: user_id, id, step, now, recovery_code_hmacs, attempts_period_start
-- returns: maybe
-- never null: is_first
with account as (
  select id from users where id = $1 for key share
),
state as (
  select user_id from second_factors where user_id = (select id from account) for update
),
confirmed as (
  update totp_factors set confirmation_deadline = null, last_used_step = $3
  where user_id = (select user_id from state) and id = $2 and confirmation_deadline > $4
  returning user_id
),
counted as (
  update second_factors set
    factors = factors + 1,
    recovery_code_hmacs = case when factors = 0 then $5 else recovery_code_hmacs end
  where user_id in (select user_id from confirmed)
  returning factors
),
taken_back as (
  update second_factor_attempts set failures = failures - 1
  where user_id in (select user_id from confirmed) and period_start = $6 and failures > 0
)
select factors = 1 as is_first from counted
