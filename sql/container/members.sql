-- Every access key of a container, by id.
-- params: container_id
-- returns: many
select key_id, read_only from container_access_keys where container_id = $1 order by key_id
