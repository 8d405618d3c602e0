-- Adds containers, each with its first access key. `blobs` holds the containers' blobs end to end, the first byte at
-- offset 1; `public_keys` holds keys of 32 bytes end to end.
-- params: modified_timestamp, ids, version_nonces, blobs, offsets, lengths, last_sequences, key_ids, public_keys
-- returns: count
with container as (
  insert into containers (id, encrypted_blob, version_nonce, modified_timestamp, sequence)
  select id, substring($4::bytea from start for length), version_nonce, $1, 1
  from unnest($2::uuid[], $3::bigint[], $5::integer[], $6::integer[]) as added (id, version_nonce, start, length)
),
head as (
  insert into container_heads (container_id, last_sequence, live_entries, live_categories)
  select id, last_sequence, 0, 0 from unnest($2::uuid[], $7::bigint[]) as added (id, last_sequence)
)
insert into container_access_keys (key_id, container_id, public_key, read_only)
select key_id, container_id, substring($9::bytea from (32 * position - 31)::integer for 32), false
from unnest($8::uuid[], $2::uuid[]) with ordinality as added (key_id, container_id, position)
