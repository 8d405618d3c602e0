-- Deletes an account whose time has come, with the containers that only it opens (decisions A12, C1). The answer is null
-- when the deletion was cancelled, put off or done meanwhile.
-- params: user_id, due_until, revoked_until
-- returns: one
select delete_account($1, $2, $3) as revoked_ids
