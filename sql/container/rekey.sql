-- Replaces a container's own blob; a tombstone stays one. Whoever runs this has locked the container and compared nonces.
-- params: container_id, encrypted_blob, version_nonce
-- returns: count
with numbered as (
  update container_heads set last_sequence = last_sequence + 1 where container_id = $1 returning last_sequence
)
update containers set
  encrypted_blob = $2,
  version_nonce = $3,
  modified_timestamp = timezone('utc', now()),
  sequence = numbered.last_sequence
from numbered
where containers.id = $1
