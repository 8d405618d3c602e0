-- What is to be known before a container can be offered: whether the key may write (null when it does not open the
-- container), the caller's address, and whoever has the recipient's. No row when the caller's account is gone.
-- params: key_id, container_id, caller_id, recipient_email
-- returns: maybe
-- nullable: recipient_id, public_key_id, public_key
select
  (select read_only from container_access_keys where key_id = $1 and container_id = $2) as read_only,
  caller.email as caller_email,
  recipient.id as recipient_id,
  recipient.public_key_id,
  recipient.public_key
from users as caller
left join users as recipient on recipient.email = $4
where caller.id = $3
