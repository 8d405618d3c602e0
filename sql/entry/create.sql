-- Adds an entry to a container, in a live category of that container or in none.
-- params: key_id, container_id, entry_id, encrypted_blob, version_nonce, category_id?, modified_timestamp, entries_max
-- returns: one
-- nullable: read_only
-- never null: was_created, category_exists, has_room
with access as (
  select read_only from container_access_keys where key_id = $1 and container_id = $2
),
-- A count of the keys that were removed, as the snapshot has it. If it has grown once we hold the lock, `access` may be
-- out of date: nothing is written, and settleChange asks again.
head as (
  select removed_keys, live_entries from container_heads where container_id = $2
),
numbered as (
  update container_heads set last_sequence = last_sequence + 1
  where container_id = $2
    and live_entries < $8
    and removed_keys = (select head.removed_keys from head)
    and exists (select from access where not read_only)
    and (
      $6::uuid is null
      or exists (select from categories where id = $6 and container_id = $2 and deleted_at is null)
    )
  returning last_sequence
),
-- Looked at again under the container's lock: the snapshot may be older than a delete that it waited for.
category as (
  select categories.id
  from numbered, categories
  where categories.id = $6 and categories.container_id = $2 and categories.deleted_at is null
  for share of categories
),
created as (
  insert into entries (id, container_id, category_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
  select $3, $2, $6, $4, $5, $7, numbered.last_sequence
  from numbered
  where $6::uuid is null or exists (select from category)
  returning id
)
select
  exists (select from created) as was_created,
  (select read_only from access) as read_only,
  $6::uuid is null
    or exists (select from categories where id = $6 and container_id = $2 and deleted_at is null) as category_exists,
  exists (select from head where live_entries < $8) as has_room
