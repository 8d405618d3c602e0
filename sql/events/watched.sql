-- Which of some keys still open their containers, and how far these have come.
-- params: key_ids, container_ids
-- returns: many
select access_key.key_id, access_key.container_id, container_heads.last_sequence
from unnest($1::uuid[], $2::uuid[]) as pair (key_id, container_id)
join container_access_keys as access_key
  on access_key.key_id = pair.key_id and access_key.container_id = pair.container_id
join container_heads on container_heads.container_id = pair.container_id
