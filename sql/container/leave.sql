-- Removes the caller's own key, and the container for good when it was the last one (decision C1).
-- params: key_id, container_id
-- returns: one
-- never null: has_left
select read_only, has_left from leave_container($1, $2)
