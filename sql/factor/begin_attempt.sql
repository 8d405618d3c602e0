-- Counts an attempt to sign in with a second factor before it is looked at, unless too many were wrong since
-- period_floor (then failures is null), and reads what it is checked with. A presented passkey uses up the challenge of
-- the sign-in token. No row when the account is gone, has another epoch than the token, or the token was used.
-- params: user_id, epoch?, token_signature, now, period_floor, failures_max, credential_id?
-- returns: maybe
-- nullable: failures, period_start, totp_id, totp_secret_encrypted, passkey_id, passkey_public_key, passkey_sign_count
with account as (
  -- Locked first, as the deletion of an account does it: so the two cannot wait for each other.
  select id, email from users
  where id = $1
    and ($2::uuid is null or token_epoch = $2)
    and not exists (select from blacklisted_tokens where token_signature = $3)
  for key share
),
counted as (
  insert into second_factor_attempts as attempts (user_id, period_start, failures)
  select id, $4, 1 from account
  on conflict (user_id) do update set
    period_start = case when attempts.period_start <= $5 then excluded.period_start else attempts.period_start end,
    failures = case when attempts.period_start <= $5 then 1 else attempts.failures + 1 end
  where attempts.period_start <= $5 or attempts.failures < $6
  returning user_id, failures, period_start
),
taken as (
  delete from passkey_challenges
  where user_id = (select user_id from counted) and purpose = 'sign-in' and binding = $3 and $7::bytea is not null
  returning case when expiration > $4 then challenge end as challenge
)
select
  account.email,
  counted.failures,
  coalesce(counted.period_start, earlier.period_start) as period_start,
  totp_factors.id as totp_id,
  totp_factors.secret_encrypted as totp_secret_encrypted,
  passkeys.id as passkey_id,
  passkeys.public_key as passkey_public_key,
  passkeys.sign_count as passkey_sign_count,
  taken.challenge as passkey_challenge
from account
left join counted on true
left join second_factor_attempts as earlier on earlier.user_id = account.id
left join totp_factors on totp_factors.user_id = account.id and totp_factors.confirmation_deadline is null
left join passkeys on passkeys.user_id = account.id and passkeys.credential_id = $7
left join taken on true
