-- The account of a deletion link, and whether its deletion is scheduled already. No row when the account is gone or does
-- not honour the link any more.
-- params: user_id, epoch?, token_signature
-- returns: maybe
-- never null: is_scheduled, link_was_used
select
  users.email,
  exists (select from user_deletion_requests where user_id = users.id) as is_scheduled,
  exists (select from blacklisted_tokens where token_signature = $3) as link_was_used
from users
where id = $1 and ($2::uuid is null or token_epoch = $2)
