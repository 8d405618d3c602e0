-- The tables of the server that this one replaces, as accounts.md 9, containers.md 6 and platform.md 8.4 describe them,
-- with names of constraints and indexes of its own. The adoption test fills them and runs the first migration.
create table users (
  id uuid constraint pk_users primary key,
  email text constraint uq_users_email unique not null constraint ck_users_email check (char_length(email) <= 255),
  is_verified boolean not null,
  public_key_id uuid not null,
  public_key bytea not null constraint ck_users_public_key check (octet_length(public_key) <= 1024),
  created_timestamp timestamp not null,
  auth_string_hash text not null check (char_length(auth_string_hash) <= 128),
  auth_string_hash_salt bytea not null check (octet_length(auth_string_hash_salt) <= 1024),
  auth_string_hash_mem_cost_kib int not null,
  auth_string_hash_threads int not null,
  auth_string_hash_iterations int not null,
  password_encryption_key_salt bytea not null check (octet_length(password_encryption_key_salt) <= 1024),
  password_encryption_key_mem_cost_kib int not null,
  password_encryption_key_threads int not null,
  password_encryption_key_iterations int not null,
  recovery_key_hash_salt_for_encryption bytea not null,
  recovery_key_hash_salt_for_recovery_auth bytea not null,
  recovery_key_hash_mem_cost_kib int not null,
  recovery_key_hash_threads int not null,
  recovery_key_hash_iterations int not null,
  recovery_key_auth_hash_rehashed_with_auth_string_params text not null,
  encryption_key_encrypted_with_password bytea not null check (octet_length(encryption_key_encrypted_with_password) <= 4096),
  encryption_key_encrypted_with_recovery_key bytea not null
);
create table user_flags (user_id uuid primary key references users (id) on delete cascade, has_performed_bulk_upload boolean not null);
create table user_preferences (user_id uuid primary key references users (id) on delete cascade, encrypted_blob bytea not null, version_nonce bigint not null);
create table user_keystores (user_id uuid primary key references users (id) on delete cascade, encrypted_blob bytea not null, version_nonce bigint not null);
create index user_keystores_user_id_index on user_keystores (user_id);
create table signin_nonces (user_email text primary key references users (email) on delete cascade on update cascade, nonce int not null);
create table user_otps (user_email text primary key references users (email) on delete cascade on update cascade, otp char(8) not null, expiration timestamp not null);
create index user_otps_index on user_otps (user_email, otp);
create table blacklisted_tokens (token_signature bytea primary key, token_expiration timestamp not null);
create table containers (id uuid primary key, encrypted_blob bytea not null, version_nonce bigint not null, modified_timestamp timestamp not null, deleted_at timestamp);
create table categories (id uuid primary key, container_id uuid not null references containers (id) on delete cascade, encrypted_blob bytea not null, version_nonce bigint not null, modified_timestamp timestamp not null, deleted_at timestamp);
create index categories_container_id_index on categories (container_id);
create table entries (id uuid primary key, container_id uuid not null references containers (id) on delete cascade, category_id uuid references categories (id) on delete set null, encrypted_blob bytea not null, version_nonce bigint not null, modified_timestamp timestamp not null, deleted_at timestamp);
create index entries_container_id_index on entries (container_id);
create index entries_category_id_index on entries (category_id);
create table container_access_keys (key_id uuid unique not null, container_id uuid not null references containers (id) on delete cascade, public_key bytea not null, read_only boolean not null, primary key (key_id, container_id));
create table container_accept_keys (key_id uuid unique not null, container_id uuid not null references containers (id) on delete cascade, public_key bytea not null, expiration timestamp not null, read_only boolean not null, primary key (key_id, container_id));
create table container_share_invites (
  id uuid primary key,
  recipient_user_email text not null references users (email) on delete cascade on update cascade,
  sender_public_key bytea not null,
  encryption_key_encrypted bytea not null,
  container_accept_private_key_encrypted bytea not null,
  container_info_encrypted bytea not null,
  sender_info_encrypted bytea not null,
  container_accept_key_info_encrypted bytea not null,
  container_accept_key_id_encrypted bytea not null,
  share_info_symmetric_key_encrypted bytea not null,
  recipient_public_key_id_used_by_sender uuid not null,
  recipient_public_key_id_used_by_server uuid not null,
  created_unix_timestamp_intdiv_five_million smallint not null
);
create table user_deletion_requests (user_id uuid primary key references users (id) on delete cascade, ready_for_deletion_time timestamp not null);
create table user_deletion_request_container_keys (key_id uuid primary key references container_access_keys (key_id) on delete cascade, user_id uuid not null references users (id) on delete cascade, delete_me_time timestamp not null);
create table job_registry (job_name text primary key, last_run_timestamp timestamp not null);
