-- Reads the confirmed factors of an account, the authenticator app first. An account without any has one row, of nulls
-- and no recovery codes; no row without an account.
-- params: user_id
-- returns: many
-- nullable: id, label_encrypted
-- never null: recovery_codes_left
select
  factors.id,
  factors.kind,
  factors.label_encrypted,
  coalesce(cardinality(second_factors.recovery_code_hmacs), 0) as recovery_codes_left
from users
left join second_factors on second_factors.user_id = users.id
left join (
  select user_id, id, 'totp' as kind, null::bytea as label_encrypted
  from totp_factors
  where confirmation_deadline is null
  union all
  select user_id, id, 'passkey', label_encrypted
  from passkeys
) as factors on factors.user_id = users.id
where users.id = $1
order by factors.kind desc, factors.id
