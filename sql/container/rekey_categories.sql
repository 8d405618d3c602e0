-- Replaces blobs of categories. `blobs` holds them end to end, the first byte at offset 1. Whoever runs this has locked the
-- container and compared ids and nonces.
-- params: container_id, ids, version_nonces, blobs, offsets, lengths
-- returns: count
with numbered as (
  update container_heads set last_sequence = last_sequence + cardinality($2::uuid[])
  where container_id = $1
  returning last_sequence - cardinality($2::uuid[]) as base
)
update categories set
  encrypted_blob = substring($4::bytea from changed.start for changed.length),
  version_nonce = changed.version_nonce,
  modified_timestamp = timezone('utc', now()),
  sequence = numbered.base + changed.position
from
  numbered,
  unnest($2::uuid[], $3::bigint[], $5::integer[], $6::integer[])
    with ordinality as changed (id, version_nonce, start, length, position)
where categories.id = changed.id and categories.container_id = $1
