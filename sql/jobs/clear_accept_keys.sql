-- Removes accept keys of invitations whose time is over (containers.md 5.6).
-- params: now, rows_max
-- returns: count
with expired as (
  select key_id from container_accept_keys
  where expiration < $1
  limit $2
  for update skip locked
)
delete from container_accept_keys using expired where container_accept_keys.key_id = expired.key_id
