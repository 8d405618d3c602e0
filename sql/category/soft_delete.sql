-- Makes a category a tombstone and takes it from the entries of its container, tombstoned ones included. The entries
-- keep nonce and time, but each gets a sequence number, so that a synchronising client learns of it.
-- The container must be locked (container/lock) by an earlier statement of the same transaction.
-- params: container_id, category_id, version_nonce
-- returns: count
with target as (
  select id from categories where id = $2 and container_id = $1 and deleted_at is null
),
member as (
  select id, row_number() over (order by id) as position from entries where container_id = $1 and category_id = $2
),
numbered as (
  update container_heads
  set last_sequence = last_sequence + (select count(*) from target) + (select count(*) from member)
  where container_id = $1
  returning last_sequence - (select count(*) from member) as base
),
deleted as (
  update categories set
    encrypted_blob = '',
    version_nonce = $3,
    modified_timestamp = timezone('utc', now()),
    deleted_at = timezone('utc', now()),
    sequence = numbered.base
  from numbered, target
  where categories.id = target.id
)
update entries set category_id = null, sequence = numbered.base + member.position
from numbered, member
where entries.id = member.id
