-- Ends a session, so that its refresh token and its access tokens are refused from now on in every process.
-- No row when there is no such session. A refresh token that is not the current one ends the session as well.
-- params: session_id, user_id, presented_token_hash, revoked_until
-- returns: maybe
-- never null: token_was_current, processes_told
with ended as (
  delete from sessions
  where id = $1 and user_id = $2
  returning id, refresh_token_hash = $3 as token_was_current
),
revoked as (
  insert into revoked_sessions (session_id, expiration)
  select id, $4 from ended
  on conflict (session_id) do nothing
  returning session_id
)
select
  token_was_current,
  (select count(pg_notify('revoked_sessions', session_id::text)) from revoked) > 0 as processes_told
from ended
