-- Gives back the claim of a run and notes how it went. 0 when the claim had expired and another process took over.
-- params: job_name, began_at, result, duration_ms, has_failed
-- returns: count
update job_registry set
  claimed_until = null,
  last_result = $3,
  last_duration_ms = $4,
  failed_runs = failed_runs + case when $5::boolean then 1 else 0 end
where job_name = $1 and last_run_timestamp = $2 and claimed_until is not null
