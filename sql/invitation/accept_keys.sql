-- The accept keys of (key id, container id) pairs. A pair that matches no row exactly is left out.
-- params: key_ids, container_ids
-- returns: many
select accept_key.key_id, accept_key.container_id, accept_key.public_key, accept_key.expiration
from unnest($1::uuid[], $2::uuid[]) as pair (key_id, container_id)
join container_accept_keys as accept_key
  on accept_key.key_id = pair.key_id and accept_key.container_id = pair.container_id
