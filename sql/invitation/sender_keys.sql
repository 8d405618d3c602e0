-- The keys of the senders of invitations; unknown ones are left out.
-- params: ids
-- returns: many
select id, sender_public_key from container_share_invites where id = any ($1::uuid[])
