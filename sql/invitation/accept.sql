-- Makes an invited user a member: adds an access key, removes the invitation and its accept key, or does nothing
-- (decision C3). `encryption_key_encrypted` and `read_only` are null when nothing was done.
-- params: invitation_id, accept_key_id, container_id, user_id, new_key_id, new_public_key
-- returns: one
-- never null: has_account
select has_account, encryption_key_encrypted, read_only from accept_invitation($1, $2, $3, $4, $5, $6)
