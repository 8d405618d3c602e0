-- Adds categories to containers that the same transaction has added. `blobs` holds their blobs end to end, the first
-- byte at offset 1.
-- params: modified_timestamp, ids, container_ids, version_nonces, sequences, blobs, offsets, lengths
-- returns: count
insert into categories (id, container_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
select id, container_id, substring($6::bytea from start for length), version_nonce, $1, sequence
from unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $7::integer[], $8::integer[])
  as added (id, container_id, version_nonce, sequence, start, length)
