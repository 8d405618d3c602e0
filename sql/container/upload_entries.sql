-- Adds entries to containers and categories that the same transaction has added; an empty category id is none. `blobs`
-- holds their blobs end to end, the first byte at offset 1.
-- params: modified_timestamp, ids, container_ids, category_ids, version_nonces, sequences, blobs, offsets, lengths
-- returns: count
insert into entries (id, container_id, category_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
select
  id, container_id, nullif(category_id, '')::uuid, substring($7::bytea from start for length), version_nonce, $1, sequence
from unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $8::integer[], $9::integer[])
  as added (id, container_id, category_id, version_nonce, sequence, start, length)
