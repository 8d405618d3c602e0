-- Replaces the refresh token of a session by the next one if the presented one is the current one. A token that was
-- replaced before grace_floor and is presented again ends the session (decision A3), and every process hears of it.
-- params: session_id, presented_token_hash, next_token_hash, next_expiration, now, grace_floor, revoked_until
-- returns: one
-- never null: was_rotated, was_revoked
with rotated as (
  update sessions set
    refresh_token_hash = $3,
    previous_token_hash = $2,
    rotated_at = $5,
    previous_rotated_at = rotated_at,
    expiration = $4
  where id = $1 and refresh_token_hash = $2 and expiration > $5
  returning id
),
reused as (
  delete from sessions
  where id = $1
    and refresh_token_hash <> $2
    and case when previous_token_hash = $2 then rotated_at else previous_rotated_at end < $6
  returning id
),
revoked as (
  insert into revoked_sessions (session_id, expiration)
  select id, $7 from reused
  on conflict (session_id) do nothing
  returning session_id
)
select
  exists (select from rotated) as was_rotated,
  (select count(pg_notify('revoked_sessions', session_id::text)) from revoked) > 0 as was_revoked
