-- The public key of an address, null when no account has it. No row when the user who asks is gone.
-- params: asked_by, email
-- returns: maybe
-- nullable: id, value
select found.public_key_id as id, found.public_key as value
from users as asking
left join users as found on found.email = $2
where asking.id = $1
