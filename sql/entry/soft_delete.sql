-- Makes an entry a tombstone: blob emptied, new nonce and time, so that a stale edit is refused (decision W7).
-- Unknown and deleted entries are left alone.
-- params: key_id, container_id, entry_id, version_nonce
-- returns: one
-- nullable: read_only
-- never null: was_deleted, was_live
with access as (
  select read_only from container_access_keys where key_id = $1 and container_id = $2
),
-- A count of the keys that were removed, as the snapshot has it. If it has grown once we hold the lock, `access` may be
-- out of date: nothing is written, and settleChange asks again.
head as (
  select removed_keys from container_heads where container_id = $2
),
numbered as (
  update container_heads set last_sequence = last_sequence + 1
  where container_id = $2
    and removed_keys = (select head.removed_keys from head)
    and exists (select from access where not read_only)
    and exists (select from entries where id = $3 and container_id = $2 and deleted_at is null)
  returning last_sequence
),
deleted as (
  update entries set
    encrypted_blob = '',
    version_nonce = $4,
    modified_timestamp = timezone('utc', now()),
    deleted_at = timezone('utc', now()),
    sequence = numbered.last_sequence
  from numbered
  where entries.id = $3 and entries.container_id = $2 and entries.deleted_at is null
  returning entries.id
)
select
  exists (select from deleted) as was_deleted,
  (select read_only from access) as read_only,
  exists (select from entries where id = $3 and container_id = $2 and deleted_at is null) as was_live
