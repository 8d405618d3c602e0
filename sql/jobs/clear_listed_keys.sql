-- Removes the keys that were listed for a deletion which was never confirmed. Those of a confirmed one stay until it is
-- done, however late that is (decision A12).
-- params: now, rows_max
-- returns: count
with forgotten as (
  select user_id, key_id from user_deletion_request_container_keys as listed
  where delete_me_time <= $1
    and not exists (select from user_deletion_requests where user_id = listed.user_id)
  limit $2
  for update skip locked
)
delete from user_deletion_request_container_keys as listed using forgotten
where listed.user_id = forgotten.user_id and listed.key_id = forgotten.key_id
