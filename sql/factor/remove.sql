-- Removes a factor of an account, confirmed or not; with the last confirmed one go the recovery codes. No row when the
-- account has no such factor.
-- params: user_id, id
-- returns: maybe
-- never null: was_confirmed
with account as (
  select id, email from users where id = $1 for key share
),
-- Locked before the factors, as by whoever adds one.
state as (
  select user_id from second_factors where user_id = (select id from account) for update
),
removed_totp as (
  delete from totp_factors
  where user_id = (select user_id from state) and id = $2
  returning confirmation_deadline is null as was_confirmed
),
removed_passkey as (
  delete from passkeys
  where user_id = (select user_id from state) and id = $2
  returning true as was_confirmed
),
removed as (
  select was_confirmed from removed_totp
  union all
  select was_confirmed from removed_passkey
),
counted as (
  -- Never below zero; but the table's check is first made with the row of before the lock.
  update second_factors set
    factors = greatest(factors - 1, 0),
    recovery_code_hmacs = case when factors = 1 then '{}' else recovery_code_hmacs end
  where user_id = (select user_id from state) and exists (select from removed where was_confirmed)
)
select account.email, removed.was_confirmed from account, removed
