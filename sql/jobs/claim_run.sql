-- Claims the run of a job for this process. 0 when the job is not due or another process runs it. It is due when it never
-- ran, when its last run began at due_floor or before, or (the clock was set back) after due_ceiling, when that run
-- failed or was stopped, and when the process that ran it has not ended it before its claim did.
-- params: job_name, began_at, claimed_until, due_floor, due_ceiling
-- returns: count
insert into job_registry as job (job_name, last_run_timestamp, claimed_until)
values ($1, $2, $3)
on conflict (job_name) do update set
  last_run_timestamp = excluded.last_run_timestamp,
  claimed_until = excluded.claimed_until
where (job.claimed_until is null or job.claimed_until <= excluded.last_run_timestamp)
  and (
    job.last_run_timestamp <= $4
    or job.last_run_timestamp > $5
    or job.last_result not like 'ok:%'
    or job.claimed_until is not null
  )
