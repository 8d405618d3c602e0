-- The invitations to a user's present address, by id, 500 at most: anybody can send any number. One row without an id
-- when there are none; no row when the account is gone.
-- params: user_id
-- returns: many
-- nullable: id
select
  invitation.id,
  invitation.container_accept_private_key_encrypted as container_accept_key_encrypted,
  invitation.container_accept_key_id_encrypted,
  invitation.container_info_encrypted,
  invitation.sender_info_encrypted,
  invitation.container_accept_key_info_encrypted,
  invitation.share_info_symmetric_key_encrypted,
  invitation.recipient_public_key_id_used_by_sender,
  invitation.recipient_public_key_id_used_by_server
from users
left join container_share_invites as invitation on invitation.recipient_user_email = users.email
where users.id = $1
order by invitation.id
limit 500
