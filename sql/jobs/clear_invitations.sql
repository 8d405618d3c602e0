-- Removes invitations that were made before a creation bucket (containers.md 5.6).
-- params: bucket_floor, rows_max
-- returns: count
with old as (
  select id from container_share_invites
  where created_unix_timestamp_intdiv_five_million < $1
  limit $2
  for update skip locked
)
delete from container_share_invites using old where container_share_invites.id = old.id
