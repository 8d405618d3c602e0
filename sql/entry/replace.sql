-- Replaces an entry if the caller has seen its newest version; undoes a soft delete. An absent category removes it.
-- params: key_id, container_id, entry_id, encrypted_blob, version_nonce, expected_previous_version_nonce, category_id?, entries_max
-- returns: one
-- nullable: read_only, current_version_nonce
-- never null: was_replaced, category_exists, has_room
with access as (
  select read_only from container_access_keys where key_id = $1 and container_id = $2
),
-- A count of the keys that were removed, as the snapshot has it. If it has grown once we hold the lock, `access` may be
-- out of date: nothing is written, and settleChange asks again.
head as (
  select removed_keys, live_entries from container_heads where container_id = $2
),
target as (
  select version_nonce, deleted_at from entries where id = $3 and container_id = $2
),
numbered as (
  update container_heads set last_sequence = last_sequence + 1
  where container_id = $2
    and removed_keys = (select head.removed_keys from head)
    and exists (select from access where not read_only)
    and exists (
      select from target
      where version_nonce = $6 and (deleted_at is null or container_heads.live_entries < $8)
    )
    and (
      $7::uuid is null
      or exists (select from categories where id = $7 and container_id = $2 and deleted_at is null)
    )
  returning last_sequence
),
-- Looked at again under the container's lock: the snapshot may be older than a delete that it waited for.
category as (
  select categories.id
  from numbered, categories
  where categories.id = $7 and categories.container_id = $2 and categories.deleted_at is null
  for share of categories
),
replaced as (
  update entries set
    category_id = $7,
    encrypted_blob = $4,
    version_nonce = $5,
    modified_timestamp = timezone('utc', now()),
    deleted_at = null,
    sequence = numbered.last_sequence
  from numbered
  where entries.id = $3
    and entries.container_id = $2
    and entries.version_nonce = $6
    and ($7::uuid is null or exists (select from category))
  returning entries.id
)
select
  exists (select from replaced) as was_replaced,
  (select read_only from access) as read_only,
  (select version_nonce from target) as current_version_nonce,
  $7::uuid is null
    or exists (select from categories where id = $7 and container_id = $2 and deleted_at is null) as category_exists,
  exists (select from target, head where target.deleted_at is null or head.live_entries < $8) as has_room
