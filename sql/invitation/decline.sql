-- Removes an invitation of a user with its accept key.
-- params: invitation_id, accept_key_id, container_id, user_id
-- returns: one
-- never null: has_account, was_declined
select has_account, was_declined from decline_invitation($1, $2, $3, $4)
