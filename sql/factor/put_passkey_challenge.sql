-- Stores the challenge for a passkey, in place of an earlier one that was given to the same token or session, and reads
-- the passkeys of the account: a row each, or one of nulls. No row when the account is gone, has another epoch than the
-- sign-in token, or the token was used.
-- params: user_id, epoch?, purpose, binding, challenge, expiration
-- returns: many
-- nullable: credential_id, transports
-- never null: factors
with account as (
  select id, email from users
  where id = $1
    and ($2::uuid is null or token_epoch = $2)
    and not exists (select from blacklisted_tokens where token_signature = $4)
  for key share
),
state as (
  insert into second_factors (user_id, factors, recovery_code_hmacs)
  select id, 0, '{}' from account where $3 = 'enrolment'
  on conflict (user_id) do nothing
  returning user_id
),
stored as (
  insert into passkey_challenges (user_id, purpose, binding, challenge, expiration)
  select account.id, $3, $4, $5, $6 from account, (select count(*) from state) as after_state
  on conflict (user_id, purpose, binding) do update set
    challenge = excluded.challenge,
    expiration = excluded.expiration
)
select
  account.email,
  coalesce(second_factors.factors, 0) as factors,
  passkeys.credential_id,
  passkeys.transports
from account
left join second_factors on second_factors.user_id = account.id
left join passkeys on passkeys.user_id = account.id
order by passkeys.id
