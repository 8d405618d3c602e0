-- Containers with their categories and entries, tombstones included, in one snapshot. No row at all unless every
-- (key id, container id) pair is an access key (decision W3). A soft-deleted container comes without its rows.
-- A row's rank is 0 for the container itself, 1 for a category, 2 for an entry.
-- params: key_ids, container_ids
-- returns: many
-- never null: rank, id, container_id, encrypted_blob, version_nonce, modified_timestamp
with pair as (
  select key_id, container_id from unnest($1::uuid[], $2::uuid[]) as pair (key_id, container_id)
),
opened as (
  select distinct container_id
  from pair
  where not exists (
    select from pair as candidate
    where not exists (
      select from container_access_keys as access_key
      where access_key.key_id = candidate.key_id and access_key.container_id = candidate.container_id
    )
  )
),
live as (
  select containers.id from opened join containers on containers.id = opened.container_id
  where containers.deleted_at is null
)
select
  0 as rank, containers.id, containers.id as container_id, null::uuid as category_id, containers.encrypted_blob,
  containers.version_nonce, containers.modified_timestamp, containers.deleted_at
from opened
join containers on containers.id = opened.container_id
union all
select
  1, categories.id, categories.container_id, null, categories.encrypted_blob, categories.version_nonce,
  categories.modified_timestamp, categories.deleted_at
from live
join categories on categories.container_id = live.id
union all
select
  2, entries.id, entries.container_id, entries.category_id, entries.encrypted_blob, entries.version_nonce,
  entries.modified_timestamp, entries.deleted_at
from live
join entries on entries.container_id = live.id
order by container_id, rank, id
