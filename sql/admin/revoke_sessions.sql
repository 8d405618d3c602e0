-- Ends every session of an account and tells every process. The account's own id, which stands for the reference's
-- tokens, is among what was revoked. No row without an account.
-- params: email, revoked_until
-- returns: maybe
-- never null: revoked_ids
select id as user_id, revoke_sessions(id, null, $2) as revoked_ids from users where email = $1
