-- Opens a session for a refresh token that the reference issued, and lists that token as used. 0 when it was used
-- before, its user is gone, or the user's sessions were revoked since. A revocation that runs right now is waited for.
-- params: token_signature, token_expiration, session_id, user_id, refresh_token_hash, now, session_expiration
-- returns: count
with used as (
  insert into blacklisted_tokens (token_signature, token_expiration)
  values ($1, $2)
  on conflict (token_signature) do nothing
  returning token_signature
)
insert into sessions (id, user_id, refresh_token_hash, rotated_at, expiration)
select $3, users.id, $5, $6, $7
from used, users
where users.id = $4 and not users.refuses_reference_tokens
for share of users
