-- Removes another member's key, and ends all invitations to the container. Does nothing for the caller's own key, and unless the caller may write.
-- params: key_id, container_id, removed_key_id
-- returns: one
-- never null: was_removed
select read_only, was_removed from remove_member($1, $2, $3)
