-- Removes sessions that expired: their refresh tokens did too.
-- params: now, rows_max
-- returns: count
with expired as (
  select id from sessions
  where expiration < $1
  limit $2
  for update skip locked
)
delete from sessions using expired where sessions.id = expired.id
