-- Replaces a category if the caller has seen its newest version; undoes a soft delete.
-- params: key_id, container_id, category_id, encrypted_blob, version_nonce, expected_previous_version_nonce, categories_max
-- returns: one
-- nullable: read_only, current_version_nonce
-- never null: was_replaced, has_room
with access as (
  select read_only from container_access_keys where key_id = $1 and container_id = $2
),
-- A count of the keys that were removed, as the snapshot has it. If it has grown once we hold the lock, `access` may be
-- out of date: nothing is written, and settleChange asks again.
head as (
  select removed_keys, live_categories from container_heads where container_id = $2
),
target as (
  select version_nonce, deleted_at from categories where id = $3 and container_id = $2
),
numbered as (
  update container_heads set last_sequence = last_sequence + 1
  where container_id = $2
    and removed_keys = (select head.removed_keys from head)
    and exists (select from access where not read_only)
    and exists (
      select from target
      where version_nonce = $6 and (deleted_at is null or container_heads.live_categories < $7)
    )
  returning last_sequence
),
replaced as (
  update categories set
    encrypted_blob = $4,
    version_nonce = $5,
    modified_timestamp = timezone('utc', now()),
    deleted_at = null,
    sequence = numbered.last_sequence
  from numbered
  where categories.id = $3 and categories.container_id = $2 and categories.version_nonce = $6
  returning categories.id
)
select
  exists (select from replaced) as was_replaced,
  (select read_only from access) as read_only,
  (select version_nonce from target) as current_version_nonce,
  exists (select from target, head where target.deleted_at is null or head.live_categories < $7) as has_room
