-- Removes sign-in challenges that expired.
-- params: now, rows_max
-- returns: count
with expired as (
  select address_hmac, nonce from signin_challenges
  where expiration < $1
  limit $2
  for update skip locked
)
delete from signin_challenges using expired
where signin_challenges.address_hmac = expired.address_hmac and signin_challenges.nonce = expired.nonce
