-- Ends every session and voids sign-in tokens and the links in mails. Answers how many sessions there were.
-- params: revoked_until
-- returns: one
-- never null: ended_sessions
with ended as (
  delete from sessions returning id
),
revoked as (
  insert into revoked_sessions as known (session_id, expiration)
  select id, $1::timestamp from ended
  union all
  select id, $1::timestamp from users
  on conflict (session_id) do update set expiration = greatest(known.expiration, excluded.expiration)
),
voided as (
  update users set refuses_reference_tokens = true, token_epoch = gen_random_uuid()
)
select count(*) as ended_sessions from ended
