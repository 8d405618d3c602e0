-- Removes an invitation, and the accept key that its sender says goes with it. In this order, as accepting does.
-- params: invitation_id, accept_key_id?
-- returns: count
with retracted as (
  delete from container_share_invites where id = $1 returning id
),
done as (
  select count(*) from retracted
)
delete from container_accept_keys using done where key_id = $2
