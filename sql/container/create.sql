-- Makes a container with its first access key and its categories. Sequence numbers start at 1 (decision C6).
-- params: container_id, key_id, encrypted_blob, version_nonce, modified_timestamp, public_key, category_ids, category_blobs, category_nonces
-- returns: count
with container as (
  insert into containers (id, encrypted_blob, version_nonce, modified_timestamp, sequence)
  values ($1, $3, $4, $5, 1)
),
head as (
  insert into container_heads (container_id, last_sequence, live_entries, live_categories)
  values ($1, 1 + cardinality($7::uuid[]), 0, 0)
),
category as (
  insert into categories (id, container_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
  select added.id, $1, added.encrypted_blob, added.version_nonce, $5, 1 + added.position
  from unnest($7::uuid[], $8::bytea[], $9::bigint[])
    with ordinality as added (id, encrypted_blob, version_nonce, position)
)
insert into container_access_keys (key_id, container_id, public_key, read_only)
values ($2, $1, $6, false)
