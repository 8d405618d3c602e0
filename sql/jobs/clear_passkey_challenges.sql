-- Removes passkey challenges that expired.
-- params: now, rows_max
-- returns: count
with expired as (
  select user_id, purpose, binding from passkey_challenges
  where expiration < $1
  limit $2
  for update skip locked
)
delete from passkey_challenges using expired
where passkey_challenges.user_id = expired.user_id
  and passkey_challenges.purpose = expired.purpose
  and passkey_challenges.binding = expired.binding
