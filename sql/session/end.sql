-- Ends a session of the user, if it is one, so that its refresh token and its access tokens are refused from now on in
-- every process. No row when the user is gone.
-- params: session_id, user_id, revoked_until
-- returns: maybe
-- never null: was_ended
with ended as (
  delete from sessions where id = $1 and user_id = $2 returning id
),
revoked as (
  insert into revoked_sessions (session_id, expiration)
  select id, $3 from ended
  on conflict (session_id) do nothing
  returning session_id
)
select (select count(pg_notify('revoked_sessions', session_id::text)) from revoked) > 0 as was_ended
from users
where id = $2
