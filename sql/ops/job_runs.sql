-- The last run of each job that ever ran.
-- params: now
-- returns: many
-- never null: is_running
select
  job_name,
  last_run_timestamp,
  last_result,
  last_duration_ms,
  failed_runs,
  coalesce(claimed_until > $1, false) as is_running
from job_registry
order by job_name
