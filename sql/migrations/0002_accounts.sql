-- Accounts that are safe: what voids tokens and links at once, deletions that are never lost, second factors, and jobs
-- that several processes share.

-- Tokens and sessions

-- Sign-in tokens and the links in mails carry the account's epoch: a new epoch voids all of them.
-- Refresh tokens of the reference name no session. Once the account's sessions were revoked they are refused too.
alter table users
  add column token_epoch uuid not null default gen_random_uuid(),
  add column refuses_reference_tokens boolean not null default false;

-- Links are counted as passcodes are, so that nobody is flooded with mail; their rows hold no passcode.
alter table user_otps
  drop constraint user_otps_purpose_check,
  add constraint user_otps_purpose_check check (purpose in ('sign-in', 'account-change', 'email-link', 'deletion-link'));

-- Ends the sessions of an account but for one, tells every process, and answers what was revoked. The account's own id
-- is among them: it stands for the access tokens of the reference, which name no session.
create function revoke_sessions(of_user uuid, kept_session uuid, revoked_until timestamp)
returns uuid[] language plpgsql as $$
declare
  revoked_ids uuid[];
begin
  update users set refuses_reference_tokens = true where id = of_user and not refuses_reference_tokens;
  with ended as (
    delete from sessions where user_id = of_user and id is distinct from kept_session returning id
  ),
  revoked as (
    insert into revoked_sessions as known (session_id, expiration)
    select id, revoked_until from ended
    union all
    select of_user, revoked_until
    on conflict (session_id) do update set expiration = greatest(known.expiration, excluded.expiration)
    returning session_id
  ),
  told as (
    select session_id, pg_notify('revoked_sessions', session_id::text) from revoked
  )
  select array_agg(session_id) into revoked_ids from told;
  return revoked_ids;
end $$;

-- Deletion (decision A12)

-- A key may be listed by everybody who holds it.
do $$
declare
  old_key name;
begin
  select conname into old_key from pg_constraint
  where conrelid = 'user_deletion_request_container_keys'::regclass and contype = 'p';
  execute format('alter table user_deletion_request_container_keys drop constraint %I', old_key);
end $$;
alter table user_deletion_request_container_keys add primary key (user_id, key_id);
create index user_deletion_request_container_keys_key on user_deletion_request_container_keys (key_id);
drop index if exists user_deletion_request_container_keys_user;

create table failed_user_deletions (
  user_id uuid primary key references user_deletion_requests (user_id) on delete cascade,
  failures integer not null,
  error_code text not null check (char_length(error_code) <= 32),
  retry_at timestamp not null
);

-- Deletes an account whose time has come: its listed keys, the containers that nobody else opens, and everything of the
-- account itself. Answers the sessions that were revoked; null when the deletion was cancelled or done meanwhile.
-- A function, since each step must see what was committed before its locks were had. They are taken in the order of
-- requests: containers, the account, its other rows. Should a request still hold what this waits for and wait for it in
-- turn, then this gives up (55P03), well before PostgreSQL would choose a victim after deadlock_timeout.
create function delete_account(of_user uuid, due_until timestamp, revoked_until timestamp)
returns uuid[] language plpgsql set lock_timeout = '200ms' as $$
declare
  opened_containers uuid[];
  revoked_ids uuid[];
begin
  select coalesce(array_agg(keys.container_id), '{}') into opened_containers
  from user_deletion_request_container_keys as listed
  join container_access_keys as keys on keys.key_id = listed.key_id
  where listed.user_id = of_user;
  perform from container_heads where container_id = any (opened_containers) order by container_id for update;
  perform from users where id = of_user for update;
  -- From here on nobody can cancel, list another key or open a session.
  perform from user_deletion_requests
  where user_id = of_user and ready_for_deletion_time <= due_until
  for update;
  if not found then
    return null;
  end if;
  perform from user_deletion_request_container_keys as listed
  join container_access_keys as keys on keys.key_id = listed.key_id
  where listed.user_id = of_user and keys.container_id <> all (opened_containers);
  if found then
    raise exception 'a container was listed meanwhile' using errcode = 'serialization_failure';
  end if;

  delete from container_access_keys
  where key_id in (select key_id from user_deletion_request_container_keys where user_id = of_user);
  delete from containers
  where id = any (opened_containers)
    and not exists (select from container_access_keys where container_id = containers.id);

  revoked_ids := revoke_sessions(of_user, null, revoked_until);
  delete from users where id = of_user;
  return revoked_ids;
end $$;

-- Cancels the deletion of an account and voids the links that were mailed. False without an account. A function, since
-- it must see what a confirmation committed before the account's lock was had.
create function cancel_deletion(of_user uuid, next_epoch uuid)
returns boolean language plpgsql as $$
begin
  update users set token_epoch = next_epoch where id = of_user;
  if not found then
    return false;
  end if;
  delete from user_deletion_requests where user_id = of_user;
  delete from user_deletion_request_container_keys where user_id = of_user;
  return true;
end $$;

-- Second factors

-- One row per account that ever began to add one: how many confirmed factors it has, and the HMACs of its unused
-- recovery codes. Whoever adds or removes a factor locks this row first and updates it, so that of several at once each
-- sees what the others did.
create table second_factors (
  user_id uuid primary key references users (id) on delete cascade,
  factors integer not null check (factors >= 0),
  recovery_code_hmacs bytea[] not null,
  check (factors > 0 or recovery_code_hmacs = '{}')
);

-- The secret is encrypted with the token encryption key. A factor is of no use before it is confirmed, which is possible
-- until its deadline; a confirmed one has none. A code is good once: last_used_step is the newest time step of which a
-- code was used.
create table totp_factors (
  user_id uuid primary key references users (id) on delete cascade,
  id uuid not null unique,
  secret_encrypted bytea not null check (octet_length(secret_encrypted) <= 256),
  confirmation_deadline timestamp,
  last_used_step bigint not null
);

-- public_key is a COSE key.
create table passkeys (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  credential_id bytea not null unique check (octet_length(credential_id) <= 1023),
  public_key bytea not null check (octet_length(public_key) <= 4096),
  sign_count bigint not null,
  transports text[] not null,
  label_encrypted bytea check (octet_length(label_encrypted) <= 1024)
);
create index passkeys_user_id on passkeys (user_id);

-- `binding` is what the challenge was given to: the MAC of a sign-in token, or the id of the session that enrols.
create table passkey_challenges (
  user_id uuid not null references users (id) on delete cascade,
  purpose text not null check (purpose in ('enrolment', 'sign-in')),
  binding bytea not null check (octet_length(binding) <= 32),
  challenge bytea not null check (octet_length(challenge) = 32),
  expiration timestamp not null,
  primary key (user_id, purpose, binding)
);
create index passkey_challenges_expiration on passkey_challenges (expiration);

create table second_factor_attempts (
  user_id uuid primary key references users (id) on delete cascade,
  period_start timestamp not null,
  failures integer not null
);

-- Indexes: the reference's repeat primary keys and some of ours. Of several on the same columns one is enough.
do $$
declare
  surplus regclass;
begin
  for surplus in
    select indexrelid::regclass
    from (
      select
        indexrelid,
        indisunique,
        row_number() over (
          partition by indrelid, indkey::text, indclass::text, pg_get_expr(indpred, indrelid)
          order by indisprimary desc, indisunique desc, indexrelid desc
        ) as place
      from pg_index
      where indrelid in (select oid from pg_class where relnamespace = current_schema()::regnamespace)
        and indexprs is null
    ) as ranked
    where place > 1 and not indisunique
  loop
    execute format('drop index %s', surplus);
  end loop;
end $$;

-- Jobs (decision P10)

-- last_run_timestamp is when the last run began. A run is claimed until claimed_until, so that one process at a time
-- runs a job and a process that died does not block it for ever.
alter table job_registry
  add column claimed_until timestamp,
  add column last_result text check (char_length(last_result) <= 200),
  add column last_duration_ms bigint,
  add column failed_runs integer not null default 0;
