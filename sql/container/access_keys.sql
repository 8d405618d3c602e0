-- The access keys of (key id, container id) pairs. A pair that matches no row exactly is left out (decision W3).
-- params: key_ids, container_ids
-- returns: many
select access_key.key_id, access_key.container_id, access_key.public_key, access_key.read_only
from unnest($1::uuid[], $2::uuid[]) as pair (key_id, container_id)
join container_access_keys as access_key
  on access_key.key_id = pair.key_id and access_key.container_id = pair.container_id
