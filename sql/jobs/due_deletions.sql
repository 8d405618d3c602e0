-- Lists accounts whose time has come, the longest due first. Those that failed wait for their retry_at.
-- params: now, accounts_max
-- returns: many
select user_id from user_deletion_requests
where ready_for_deletion_time <= $1
  and not exists (
    select from failed_user_deletions where user_id = user_deletion_requests.user_id and retry_at > $1
  )
order by ready_for_deletion_time, user_id
limit $2
