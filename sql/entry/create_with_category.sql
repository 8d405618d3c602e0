-- Adds a category and an entry in it to a container.
-- params: key_id, container_id, category_id, category_encrypted_blob, category_version_nonce, entry_id, entry_encrypted_blob, entry_version_nonce, modified_timestamp, entries_max, categories_max
-- returns: one
-- nullable: read_only
-- never null: was_created, has_room
with access as (
  select read_only from container_access_keys where key_id = $1 and container_id = $2
),
-- A count of the keys that were removed, as the snapshot has it. If it has grown once we hold the lock, `access` may be
-- out of date: nothing is written, and settleChange asks again.
head as (
  select removed_keys, live_entries, live_categories from container_heads where container_id = $2
),
numbered as (
  update container_heads set last_sequence = last_sequence + 2
  where container_id = $2
    and live_entries < $10
    and live_categories < $11
    and removed_keys = (select head.removed_keys from head)
    and exists (select from access where not read_only)
  returning last_sequence
),
category as (
  insert into categories (id, container_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
  select $3, $2, $4, $5, $9, last_sequence - 1 from numbered
),
created as (
  insert into entries (id, container_id, category_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
  select $6, $2, $3, $7, $8, $9, last_sequence from numbered
  returning id
)
select
  exists (select from created) as was_created,
  (select read_only from access) as read_only,
  exists (select from head where live_entries < $10 and live_categories < $11) as has_room
