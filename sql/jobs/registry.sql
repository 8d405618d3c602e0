-- What is noted of every job that ever ran.
-- params:
-- returns: many
select job_name, last_run_timestamp, claimed_until, last_result, last_duration_ms, failed_runs
from job_registry
