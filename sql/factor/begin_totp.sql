-- Stores the secret of an authenticator app that is to be confirmed, in place of one that never was. A confirmed one
-- stays. No row without an account.
-- params: user_id, id, secret_encrypted, confirmation_deadline
-- returns: maybe
-- never null: was_stored
with account as (
  select id from users where id = $1 for key share
),
state as (
  insert into second_factors (user_id, factors, recovery_code_hmacs)
  select id, 0, '{}' from account
  on conflict (user_id) do nothing
  returning user_id
),
stored as (
  insert into totp_factors as factor (user_id, id, secret_encrypted, confirmation_deadline, last_used_step)
  select account.id, $2, $3, $4, -1 from account, (select count(*) from state) as after_state
  on conflict (user_id) do update set
    id = excluded.id,
    secret_encrypted = excluded.secret_encrypted,
    confirmation_deadline = excluded.confirmation_deadline,
    last_used_step = excluded.last_used_step
  where factor.confirmation_deadline is not null
  returning user_id
)
select exists (select from stored) as was_stored from account
