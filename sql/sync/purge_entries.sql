-- Removes tombstones of entries that were made before a time (decision C10). Containers that somebody changes right now
-- are left for the next run; in the others, clients whose cursor is older than what was removed start over.
-- params: deleted_before, rows_max
-- returns: one
-- never null: removed
with old as (
  select entries.id
  from entries
  join container_heads as head on head.container_id = entries.container_id
  where entries.deleted_at < $1
  limit $2
  for update of head skip locked
),
-- Looked at again under the container's lock: an edit may have revived the entry since.
purged as (
  delete from entries using old
  where entries.id = old.id and entries.deleted_at < $1
  returning entries.container_id, entries.sequence, entries.deleted_at
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
