-- Schedules the deletion of a link's account, uses the link up, and keeps the listed keys until keys_kept_until at least.
-- No row when the account is gone or does not honour the link any more. Of several requests at once one schedules.
-- params: user_id, epoch?, token_signature, token_expiration, ready_time, keys_kept_until
-- returns: maybe
-- never null: was_scheduled, link_was_used, is_scheduled
with account as (
  select id, email from users
  where id = $1 and ($2::uuid is null or token_epoch = $2)
  for no key update
),
link as (
  select exists (select from blacklisted_tokens where token_signature = $3) as was_used
),
scheduled as (
  insert into user_deletion_requests (user_id, ready_for_deletion_time)
  select account.id, $5
  from account, link
  where not link.was_used
  on conflict (user_id) do nothing
  returning user_id
),
used as (
  insert into blacklisted_tokens (token_signature, token_expiration)
  select $3, $4 from scheduled
  on conflict (token_signature) do nothing
),
kept as (
  update user_deletion_request_container_keys set delete_me_time = greatest(delete_me_time, $6)
  where user_id in (select user_id from scheduled)
)
select
  account.email,
  exists (select from scheduled) as was_scheduled,
  link.was_used as link_was_used,
  exists (select from user_deletion_requests where user_id = account.id) as is_scheduled
from account, link
