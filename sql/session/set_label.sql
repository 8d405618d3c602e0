-- Labels a session. 0 when it has ended.
-- params: session_id, user_id, label_encrypted
-- returns: count
update sessions set label_encrypted = $3 where id = $1 and user_id = $2
