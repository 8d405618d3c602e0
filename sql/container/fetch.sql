-- Containers with their categories and entries, tombstones included, in one snapshot. No row at all unless every
-- (key id, container id) pair is an access key (decision W3). A soft-deleted container comes without its rows.
-- A row's rank is 0 for the container itself, 1 for a category, 2 for an entry. Rank -1 instead of 0: all rows together
-- have more than bytes_max, so they are left out.
-- params: key_ids, container_ids, bytes_max
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
-- A container has no more rows than it gave out numbers: where these are few, no size is looked at. 112 bytes are more
-- than a row takes besides its blob.
numbers as (
  select sum(head.last_sequence) as given
  from opened join container_heads as head on head.container_id = opened.container_id
),
fitting as (
  select case
    when given <= 3000 then true
    else (
      select sum(
        (
          select coalesce(sum(octet_length(encrypted_blob) + 112), 0)
          from categories
          where container_id = asked.container_id
        ) + (
          select coalesce(sum(octet_length(encrypted_blob) + 112), 0)
          from entries
          where container_id = asked.container_id
        )
      )
      from opened as asked
    ) <= $3::bigint
  end as fits
  from numbers
),
live as (
  select containers.id from opened join containers on containers.id = opened.container_id
  where containers.deleted_at is null and (select fits from fitting)
)
select
  case when (select fits from fitting) then 0 else -1 end as rank, containers.id, containers.id as container_id,
  null::uuid as category_id, containers.encrypted_blob, containers.version_nonce, containers.modified_timestamp,
  containers.deleted_at
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
