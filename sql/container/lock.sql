-- Locks a container until the transaction ends; read_only is null when the key does not open it.
-- params: key_id, container_id
-- returns: one
select lock_container($1, $2) as read_only
