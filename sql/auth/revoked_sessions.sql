-- Sessions that ended while access tokens of theirs may still be unexpired.
-- params: now
-- returns: many
select session_id, expiration from revoked_sessions where expiration > $1
