-- Gives an account the address that its link confirms, and answers the former one. The new epoch voids all links and
-- sign-in tokens; passcodes are void too, since they went to the former address. No row when the account is gone or has
-- another epoch than the link. Fails as a unique violation when the address is taken. An account that never proved the
-- address gives way, as at sign-up (user/create.sql).
-- The account is locked before its passcodes, as everywhere. A passcode that was stored while this waited is void too:
-- only an insert that conflicts sees it.
-- params: user_id, epoch?, next_epoch, new_email, now
-- returns: maybe
with account as (
  select id, email from users where id = $1 and token_epoch = $2 for update
),
voided as (
  insert into user_otps (user_id, purpose, expiration, attempts_left, period_start, sent_in_period)
  select account.id, purpose, $5, 0, $5, 0
  from account, unnest(array['sign-in', 'account-change']) as purpose
  on conflict (user_id, purpose) do update set otp_hmac = null
  returning user_id
),
displaced as (
  delete from users
  where email = $4
    and id <> $1
    and exists (select from account)
    and verification_deadline is not null
    and not exists (
      select from user_otps where user_id = users.id and purpose = 'sign-in' and expiration > $5 and otp_hmac is not null
    )
  returning id
),
changed as (
  update users set email = $4, token_epoch = $3
  from
    account,
    (select count(*) from voided) as after_voiding,
    (select count(*) from displaced) as after_displacing
  where users.id = account.id
  returning account.email as former_email
)
select former_email from changed
