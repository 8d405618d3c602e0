-- The newest sequence number of containers that were just changed.
-- params: container_ids
-- returns: many
select container_id, last_sequence from container_heads where container_id = any ($1::uuid[])
