-- The sessions of a user that have not expired, the one that lives longest first; one row without an id when there is
-- none. No row when the user is gone.
-- params: user_id, own_session_id?, now
-- returns: many
-- nullable: id, expiration, label_encrypted
-- never null: is_current
select
  sessions.id,
  sessions.expiration,
  sessions.id is not distinct from $2 as is_current,
  sessions.label_encrypted
from users
left join sessions on sessions.user_id = users.id and sessions.expiration > $3
where users.id = $1
order by sessions.expiration desc, sessions.id
