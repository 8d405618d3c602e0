-- Removes revoked sessions whose last access token expired before a time.
-- params: expired_before, rows_max
-- returns: count
with expired as (
  select session_id from revoked_sessions
  where expiration < $1
  limit $2
  for update skip locked
)
delete from revoked_sessions using expired where revoked_sessions.session_id = expired.session_id
