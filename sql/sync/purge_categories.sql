-- Removes tombstones of categories, as purge_entries.sql does of entries. One that an entry still refers to stays: the
-- reference left such entries, and clients would not learn that theirs has lost its category.
-- params: deleted_before, rows_max
-- returns: one
-- never null: removed
with old as (
  select categories.id
  from categories
  join container_heads as head on head.container_id = categories.container_id
  where categories.deleted_at < $1 and not exists (select from entries where category_id = categories.id)
  limit $2
  for update of head skip locked
),
-- Looked at again under the container's lock: an edit may have revived the category since.
purged as (
  delete from categories using old
  where categories.id = old.id and categories.deleted_at < $1
  returning categories.container_id, categories.sequence, categories.deleted_at
),
newest as (
  select container_id, max(sequence) as sequence, max(deleted_at) as deleted_at
  from purged
  group by container_id
),
noted as (
  update container_heads set
    purged_sequence = greatest(purged_sequence, newest.sequence),
    last_purged_change = greatest(last_purged_change, newest.deleted_at)
  from newest
  where container_heads.container_id = newest.container_id
)
select count(*)::integer as removed from purged
