-- Deletes containers in which nothing was changed since a time: neither their own blob nor a category or entry, purged
-- ones included (decision C10). One that is changed right now, or was since the statement began, is left alone. Tombstones
-- of the reference tell by deleted_at alone when they were made.
-- params: changed_before, containers_max
-- returns: count
with idle as materialized (
  select head.container_id, head.last_sequence
  from containers
  join container_heads as head on head.container_id = containers.id
  where greatest(containers.modified_timestamp, containers.deleted_at) < $1
    and (head.last_purged_change is null or head.last_purged_change < $1)
    -- The row with the highest number nearly always settles it, without a look at all the others.
    and coalesce(
      (select modified_timestamp from entries where container_id = containers.id order by sequence desc limit 1) < $1,
      true
    )
    and not exists (
      select from entries where container_id = containers.id and greatest(modified_timestamp, deleted_at) >= $1
    )
    and not exists (
      select from categories where container_id = containers.id and greatest(modified_timestamp, deleted_at) >= $1
    )
  limit $2
),
locked as (
  select head.container_id
  from idle
  join container_heads as head on head.container_id = idle.container_id and head.last_sequence = idle.last_sequence
  for update of head skip locked
)
delete from containers using locked where containers.id = locked.container_id
