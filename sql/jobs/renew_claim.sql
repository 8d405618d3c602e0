-- Keeps the claim of a run that takes longer.
-- params: job_name, began_at, claimed_until
-- returns: count
update job_registry set claimed_until = $3
where job_name = $1 and last_run_timestamp = $2 and claimed_until is not null
