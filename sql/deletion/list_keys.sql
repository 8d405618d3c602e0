-- Lists keys that shall go with an account, and reads where the link that confirms it is mailed to. Listing a key again
-- keeps the later time. No row without an account; nothing is listed unless every pair opens a container.
-- params: user_id, key_ids, container_ids, delete_me_time
-- returns: maybe
-- never null: all_exist
with account as (
  select id, email, token_epoch from users where id = $1
  for no key update
),
pair as (
  select distinct key_id, container_id from unnest($2::uuid[], $3::uuid[]) as pair (key_id, container_id)
),
existing as (
  select access_key.key_id
  from account, pair
  join container_access_keys as access_key
    on access_key.key_id = pair.key_id and access_key.container_id = pair.container_id
  order by access_key.key_id
  for key share of access_key
),
verdict as (
  select (select count(*) from existing) = (select count(*) from pair) as all_exist
),
listed as (
  insert into user_deletion_request_container_keys as known (user_id, key_id, delete_me_time)
  select account.id, existing.key_id, $4
  from account, existing, verdict
  where verdict.all_exist
  on conflict (user_id, key_id) do update set
    delete_me_time = greatest(known.delete_me_time, excluded.delete_me_time)
)
select account.email, account.token_epoch, verdict.all_exist
from account, verdict
