-- Adds a passkey, unless it is known already or the account has too many factors, and gives the account recovery codes
-- if this is its first factor. No row without an account.
-- params: user_id, id, credential_id, public_key, sign_count, transports, label_encrypted?, factors_max, recovery_code_hmacs
-- returns: maybe
-- never null: had_room, was_added, is_first
with account as (
  select id from users where id = $1 for key share
),
-- Read under its lock, so that passkeys added at once cannot exceed the limit.
state as (
  select user_id, factors from second_factors where user_id = (select id from account) for update
),
added as (
  insert into passkeys (id, user_id, credential_id, public_key, sign_count, transports, label_encrypted)
  select $2, user_id, $3, $4, $5, $6, $7 from state where factors < $8
  on conflict (credential_id) do nothing
  returning user_id
),
counted as (
  update second_factors set
    factors = factors + 1,
    recovery_code_hmacs = case when factors = 0 then $9 else recovery_code_hmacs end
  where user_id in (select user_id from added)
  returning factors
)
select
  factors < $8 as had_room,
  exists (select from added) as was_added,
  exists (select from counted where factors = 1) as is_first
from state
