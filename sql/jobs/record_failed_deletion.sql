-- Notes that an account could not be deleted, and doubles the wait until the next attempt each time. No row when the
-- deletion was cancelled meanwhile.
-- params: user_id, error_code, now, first_wait_secs, longest_wait_secs
-- returns: maybe
insert into failed_user_deletions as failed (user_id, failures, error_code, retry_at)
select user_id, 1, $2, $3::timestamp + make_interval(secs => $4::integer)
from user_deletion_requests
where user_id = $1
for key share
on conflict (user_id) do update set
  failures = failed.failures + 1,
  error_code = excluded.error_code,
  retry_at = $3 + make_interval(secs => least($4 * 2 ^ least(failed.failures, 30), $5::integer))
returning failures
