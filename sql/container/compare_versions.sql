-- Whether the caller knows a container as it is: every live category and entry, and no other, with their newest nonces.
-- The caller of this statement holds the container's lock.
-- params: container_id, version_nonce, category_ids, category_nonces, entry_ids, entry_nonces
-- returns: one
-- never null: has_exact_rows, has_newest_nonces
with known as (
  select 'category' as kind, id, version_nonce from unnest($3::uuid[], $4::bigint[]) as known (id, version_nonce)
  union all
  select 'entry', id, version_nonce from unnest($5::uuid[], $6::bigint[]) as known (id, version_nonce)
),
live as (
  select 'category' as kind, id, version_nonce from categories where container_id = $1 and deleted_at is null
  union all
  select 'entry', id, version_nonce from entries where container_id = $1 and deleted_at is null
)
select
  not exists (
    select from live full join known using (kind, id) where live.version_nonce is null or known.version_nonce is null
  ) as has_exact_rows,
  exists (select from containers where id = $1 and version_nonce = $2)
    and not exists (
      select from live join known using (kind, id) where live.version_nonce <> known.version_nonce
    ) as has_newest_nonces
