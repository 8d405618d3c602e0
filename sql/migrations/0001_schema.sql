-- The whole schema. Part 1 makes the tables of the server that this one replaces where they do not exist yet, so that
-- an empty database and one of the reference's come to the same state (decision: "an operator can swap the binary").
-- Part 2 changes them as decisions A2 to A13, W8, W10 and C6 ask. Everything happens in one transaction, and what
-- would lose something stops it before it changes anything. Times are UTC without zone, in microseconds.

-- Part 1: the tables of the reference

create table if not exists users (
  id uuid primary key,
  email text not null unique check (char_length(email) <= 255),
  is_verified boolean not null,
  public_key_id uuid not null,
  public_key bytea not null check (octet_length(public_key) <= 1024),
  created_timestamp timestamp not null,
  auth_string_hash text not null check (char_length(auth_string_hash) <= 128),
  auth_string_hash_salt bytea not null check (octet_length(auth_string_hash_salt) <= 1024),
  auth_string_hash_mem_cost_kib integer not null,
  auth_string_hash_threads integer not null,
  auth_string_hash_iterations integer not null,
  password_encryption_key_salt bytea not null check (octet_length(password_encryption_key_salt) <= 1024),
  password_encryption_key_mem_cost_kib integer not null,
  password_encryption_key_threads integer not null,
  password_encryption_key_iterations integer not null,
  recovery_key_hash_salt_for_encryption bytea not null
    check (octet_length(recovery_key_hash_salt_for_encryption) <= 1024),
  recovery_key_hash_salt_for_recovery_auth bytea not null
    check (octet_length(recovery_key_hash_salt_for_recovery_auth) <= 1024),
  recovery_key_hash_mem_cost_kib integer not null,
  recovery_key_hash_threads integer not null,
  recovery_key_hash_iterations integer not null,
  recovery_key_auth_hash_rehashed_with_auth_string_params text not null
    check (char_length(recovery_key_auth_hash_rehashed_with_auth_string_params) <= 128),
  encryption_key_encrypted_with_password bytea not null
    check (octet_length(encryption_key_encrypted_with_password) <= 4096),
  encryption_key_encrypted_with_recovery_key bytea not null
    check (octet_length(encryption_key_encrypted_with_recovery_key) <= 4096)
);

create table if not exists user_flags (
  user_id uuid primary key references users (id) on delete cascade,
  has_performed_bulk_upload boolean not null
);

create table if not exists user_preferences (
  user_id uuid primary key references users (id) on delete cascade,
  encrypted_blob bytea not null check (octet_length(encrypted_blob) <= 104857600),
  version_nonce bigint not null
);

create table if not exists user_keystores (
  user_id uuid primary key references users (id) on delete cascade,
  encrypted_blob bytea not null check (octet_length(encrypted_blob) <= 104857600),
  version_nonce bigint not null
);

create table if not exists blacklisted_tokens (
  token_signature bytea primary key check (octet_length(token_signature) <= 1024),
  token_expiration timestamp not null
);

create table if not exists containers (
  id uuid primary key,
  encrypted_blob bytea not null check (octet_length(encrypted_blob) <= 104857600),
  version_nonce bigint not null,
  modified_timestamp timestamp not null,
  deleted_at timestamp
);

create table if not exists categories (
  id uuid primary key,
  container_id uuid not null references containers (id) on delete cascade,
  encrypted_blob bytea not null check (octet_length(encrypted_blob) <= 104857600),
  version_nonce bigint not null,
  modified_timestamp timestamp not null,
  deleted_at timestamp
);

create table if not exists entries (
  id uuid primary key,
  container_id uuid not null references containers (id) on delete cascade,
  category_id uuid constraint fk_entries_category_key references categories (id) on delete set null,
  encrypted_blob bytea not null check (octet_length(encrypted_blob) <= 104857600),
  version_nonce bigint not null,
  modified_timestamp timestamp not null,
  deleted_at timestamp
);

create table if not exists container_access_keys (
  key_id uuid not null unique,
  container_id uuid not null references containers (id) on delete cascade,
  public_key bytea not null check (octet_length(public_key) <= 1024),
  read_only boolean not null,
  primary key (key_id, container_id)
);

create table if not exists container_accept_keys (
  key_id uuid not null unique,
  container_id uuid not null references containers (id) on delete cascade,
  public_key bytea not null check (octet_length(public_key) <= 1024),
  expiration timestamp not null,
  read_only boolean not null,
  primary key (key_id, container_id)
);

create table if not exists container_share_invites (
  id uuid primary key,
  recipient_user_email text not null check (char_length(recipient_user_email) <= 255)
    references users (email) on delete cascade on update cascade,
  sender_public_key bytea not null check (octet_length(sender_public_key) <= 1024),
  encryption_key_encrypted bytea not null check (octet_length(encryption_key_encrypted) <= 4096),
  container_accept_private_key_encrypted bytea not null
    check (octet_length(container_accept_private_key_encrypted) <= 4096),
  container_info_encrypted bytea not null check (octet_length(container_info_encrypted) <= 1048576),
  sender_info_encrypted bytea not null check (octet_length(sender_info_encrypted) <= 1048576),
  container_accept_key_info_encrypted bytea not null
    check (octet_length(container_accept_key_info_encrypted) <= 1048576),
  container_accept_key_id_encrypted bytea not null check (octet_length(container_accept_key_id_encrypted) <= 4096),
  share_info_symmetric_key_encrypted bytea not null check (octet_length(share_info_symmetric_key_encrypted) <= 4096),
  recipient_public_key_id_used_by_sender uuid not null,
  recipient_public_key_id_used_by_server uuid not null,
  created_unix_timestamp_intdiv_five_million smallint not null
);

create table if not exists user_deletion_requests (
  user_id uuid primary key references users (id) on delete cascade,
  ready_for_deletion_time timestamp not null
);

create table if not exists user_deletion_request_container_keys (
  key_id uuid primary key references container_access_keys (key_id) on delete cascade,
  user_id uuid not null references users (id) on delete cascade,
  delete_me_time timestamp not null
);

create table if not exists job_registry (
  job_name text primary key,
  last_run_timestamp timestamp not null
);

-- Part 2, accounts

-- W10: addresses are compared in lower case. Two rows that would become one are for the operator to sort out.
do $$
declare
  colliding text;
begin
  select string_agg(ids, '; ') into colliding
  from (
    select string_agg(id::text, ', ' order by id) as ids
    from users
    group by lower(email collate "C")
    having count(*) > 1
  ) as groups;
  if colliding is not null then
    raise exception 'users whose addresses differ only in letter case: %', colliding
      using hint = 'Give all but one user of each group another address, then start again. Nothing was changed.';
  end if;
end $$;

update users set email = lower(email collate "C") where email <> lower(email collate "C");

-- W8: public keys may have 4096 bytes. The old check's name depends on who made the table.
do $$
declare
  old_check record;
begin
  for old_check in
    select constraint_row.conname
    from pg_constraint as constraint_row
    join pg_attribute as attribute
      on attribute.attrelid = constraint_row.conrelid and constraint_row.conkey = array[attribute.attnum]
    where constraint_row.conrelid = 'users'::regclass and constraint_row.contype = 'c' and attribute.attname = 'public_key'
  loop
    execute format('alter table users drop constraint %I', old_check.conname);
  end loop;
end $$;
alter table users add constraint users_public_key_size check (octet_length(public_key) <= 4096);

-- A13: no sign-up date. An unverified account has a deadline, a verified one has none.
alter table users add column verification_deadline timestamp;
update users set verification_deadline = created_timestamp + interval '7 days' where not is_verified;
alter table users drop column created_timestamp, drop column is_verified;
create index users_verification_deadline on users (verification_deadline) where verification_deadline is not null;

-- A6: sign-in nonces are single-use challenges for any address asked about. They live ten minutes, so what the
-- reference kept (one nonce per user) is of no use, and a crash may lose them: unlogged.
drop table if exists signin_nonces;
create unlogged table signin_challenges (
  address_hmac bytea not null check (octet_length(address_hmac) = 32),
  nonce integer not null,
  expiration timestamp not null,
  primary key (address_hmac, nonce)
);
create index signin_challenges_expiration on signin_challenges (expiration);

-- A7: passcodes are kept as HMAC and bound to a purpose; the reference's (in clear, minutes old) are not carried over.
-- The row stays after use: it also counts what was sent in the current period.
drop table if exists user_otps;
create table user_otps (
  user_id uuid not null references users (id) on delete cascade,
  purpose text not null check (purpose in ('sign-in', 'account-change')),
  otp_hmac bytea check (octet_length(otp_hmac) = 32),
  expiration timestamp not null,
  attempts_left smallint not null,
  period_start timestamp not null,
  sent_in_period smallint not null,
  primary key (user_id, purpose)
);
create index user_otps_expiration on user_otps (expiration);

-- A3: one row per sign-in. The hashes are SHA-256 of the MAC of a refresh token: of the one that is valid now, and of the
-- one that it replaced at rotated_at. Anything older was replaced at previous_rotated_at or before.
create table sessions (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  refresh_token_hash bytea not null check (octet_length(refresh_token_hash) = 32),
  previous_token_hash bytea check (octet_length(previous_token_hash) = 32),
  rotated_at timestamp not null,
  previous_rotated_at timestamp,
  expiration timestamp not null,
  label_encrypted bytea check (octet_length(label_encrypted) <= 1024)
);
create index sessions_user_id on sessions (user_id);
create index sessions_expiration on sessions (expiration);

-- A3: sessions that ended while access tokens of theirs are still unexpired. Every process keeps this list in memory.
create table revoked_sessions (
  session_id uuid primary key,
  expiration timestamp not null
);
create index revoked_sessions_expiration on revoked_sessions (expiration);

create index if not exists blacklisted_tokens_expiration on blacklisted_tokens (token_expiration);

-- Part 2, containers

-- C6, C11: one narrow row per container. It is the container's lock, gives out its sequence numbers and knows how many
-- live rows the container has. fillfactor leaves room to update it in place.
create table container_heads (
  container_id uuid primary key references containers (id) on delete cascade,
  last_sequence bigint not null,
  purged_sequence bigint not null default 0,
  live_entries integer not null,
  live_categories integer not null
) with (fillfactor = 50);

alter table containers add column sequence bigint not null default 0;
alter table categories add column sequence bigint not null default 0;
alter table entries add column sequence bigint not null default 0;

create temporary table numbering on commit drop as
select id, row_number() over (partition by container_id order by rank, id) as sequence
from (
  select id, id as container_id, 1 as rank from containers
  union all
  select id, container_id, 2 from categories
  union all
  select id, container_id, 3 from entries
) as row_of_container;
update containers set sequence = numbering.sequence from numbering where numbering.id = containers.id;
update categories set sequence = numbering.sequence from numbering where numbering.id = categories.id;
update entries set sequence = numbering.sequence from numbering where numbering.id = entries.id;

insert into container_heads (container_id, last_sequence, live_entries, live_categories)
select
  containers.id,
  1 + (select count(*) from categories where container_id = containers.id)
    + (select count(*) from entries where container_id = containers.id),
  (select count(*) from entries where container_id = containers.id and deleted_at is null),
  (select count(*) from categories where container_id = containers.id and deleted_at is null)
from containers;

alter table containers alter column sequence drop default;
alter table categories alter column sequence drop default;
alter table entries alter column sequence drop default;

create unique index categories_container_sequence on categories (container_id, sequence);
create unique index entries_container_sequence on entries (container_id, sequence);
create index if not exists entries_category on entries (category_id);
create index if not exists container_access_keys_container on container_access_keys (container_id);
create index if not exists container_accept_keys_container on container_accept_keys (container_id);
create index if not exists container_accept_keys_expiration on container_accept_keys (expiration);
create index if not exists container_share_invites_recipient on container_share_invites (recipient_user_email);
create index if not exists user_deletion_requests_ready on user_deletion_requests (ready_for_deletion_time);
create index if not exists user_deletion_request_container_keys_user on user_deletion_request_container_keys (user_id);
create index if not exists user_deletion_request_container_keys_time
  on user_deletion_request_container_keys (delete_me_time);

-- C11: the counts of container_heads are kept by the database, so that no statement can forget them and no race can
-- make them drift. Only rows that come, die or revive fire these; an ordinary edit does not.
create function count_new_rows() returns trigger language plpgsql as $$
begin
  if tg_table_name = 'entries' then
    update container_heads set live_entries = live_entries + added_rows.count
    from (select container_id, count(*) from added where deleted_at is null group by container_id) as added_rows
    where container_heads.container_id = added_rows.container_id;
  else
    update container_heads set live_categories = live_categories + added_rows.count
    from (select container_id, count(*) from added where deleted_at is null group by container_id) as added_rows
    where container_heads.container_id = added_rows.container_id;
  end if;
  return null;
end $$;

create function count_changed_row() returns trigger language plpgsql as $$
declare
  change integer := case when new.deleted_at is null then 1 else -1 end;
begin
  if tg_table_name = 'entries' then
    update container_heads set live_entries = live_entries + change where container_id = new.container_id;
  else
    update container_heads set live_categories = live_categories + change where container_id = new.container_id;
  end if;
  return null;
end $$;

-- Deleting a category also touches the entries in it. A function, since its second statement must see every entry that
-- came before the container's lock was had: each statement of a function sees what was committed when it began.
-- Answers whether the key is read-only; null when it does not open the container. Writes only for false.
create function soft_delete_category(opened_by uuid, opened_container uuid, category uuid, new_nonce bigint)
returns boolean language plpgsql as $$
declare
  is_read_only boolean;
begin
  perform from container_heads where container_id = opened_container for update;
  select read_only into is_read_only from container_access_keys
  where key_id = opened_by and container_id = opened_container
  for key share;
  if is_read_only is distinct from false then
    return is_read_only;
  end if;

  with target as (
    select id from categories where id = category and container_id = opened_container and deleted_at is null
  ),
  member as (
    select id, row_number() over (order by id) as position
    from entries
    where container_id = opened_container and category_id = category
  ),
  numbered as (
    update container_heads
    set last_sequence = last_sequence + (select count(*) from target) + (select count(*) from member)
    where container_id = opened_container
    returning last_sequence - (select count(*) from member) as base
  ),
  deleted as (
    update categories set
      encrypted_blob = '',
      version_nonce = new_nonce,
      modified_timestamp = timezone('utc', now()),
      deleted_at = timezone('utc', now()),
      sequence = numbered.base
    from numbered, target
    where categories.id = target.id
  )
  update entries set category_id = null, sequence = numbered.base + member.position
  from numbered, member
  where entries.id = member.id;
  return false;
end $$;

create trigger count_new_entries after insert on entries
  referencing new table as added for each statement execute function count_new_rows();
create trigger count_new_categories after insert on categories
  referencing new table as added for each statement execute function count_new_rows();
create trigger count_changed_entries after update of deleted_at on entries for each row
  when ((old.deleted_at is null) <> (new.deleted_at is null)) execute function count_changed_row();
create trigger count_changed_categories after update of deleted_at on categories for each row
  when ((old.deleted_at is null) <> (new.deleted_at is null)) execute function count_changed_row();
