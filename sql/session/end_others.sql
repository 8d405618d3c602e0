-- Ends every session of the user but one, and refuses the tokens of the reference, which name no session. Answers what
-- was revoked; no row when the user is gone.
-- params: user_id, own_session_id, revoked_until
-- returns: maybe
-- never null: revoked_ids
select revoke_sessions(id, $2, $3) as revoked_ids from users where id = $1
