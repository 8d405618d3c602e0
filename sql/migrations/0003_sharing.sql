-- Sharing and synchronisation: invitations for every kind of public key, exact incremental sync, members.

-- Members (C8) and re-keying (C9)

-- How many keys were ever removed. A change compares what it saw with what it finds under the container's lock: one that
-- waited behind the removal of a key looks again whether its own is still there.
alter table container_heads add column removed_keys bigint not null default 0;

create function count_removed_keys() returns trigger language plpgsql as $$
begin
  update container_heads set removed_keys = removed_keys + 1
  where container_id in (select container_id from removed);
  return null;
end $$;

create trigger count_removed_keys after delete on container_access_keys
  referencing old table as removed for each statement execute function count_removed_keys();

-- Locks a container for changes of several statements and answers whether the key is read-only; null when it does not
-- open the container. A function, since its second statement must see what was committed before the lock was had.
create function lock_container(opened_by uuid, opened_container uuid)
returns boolean language plpgsql as $$
declare
  is_read_only boolean;
begin
  perform from container_heads where container_id = opened_container for update;
  select read_only into is_read_only from container_access_keys
  where key_id = opened_by and container_id = opened_container;
  return is_read_only;
end $$;

-- Removes the caller's own key, and the container for good when nobody else has one. `read_only` is the key's flag, as
-- lock_container answers it. A function, since it must see who joined or left before the lock was had (C1).
create function leave_container(opened_by uuid, opened_container uuid, out read_only boolean, out has_left boolean)
language plpgsql as $$
begin
  read_only := lock_container(opened_by, opened_container);
  has_left := read_only is not null;
  delete from container_access_keys where key_id = opened_by and container_id = opened_container;
  if has_left and not exists (select from container_access_keys where container_id = opened_container) then
    delete from containers where id = opened_container;
  end if;
end $$;

-- Removes the key of another member, and every accept key of the container: the removed member could come back by an
-- invitation to a second account, and nothing tells who invited whom. `read_only` is the caller's own flag, as
-- lock_container answers it.
create function remove_member(
  opened_by uuid, opened_container uuid, removed_key uuid, out read_only boolean, out was_removed boolean
) language plpgsql as $$
begin
  was_removed := false;
  read_only := lock_container(opened_by, opened_container);
  if read_only = false and removed_key <> opened_by then
    delete from container_access_keys where key_id = removed_key and container_id = opened_container;
    was_removed := found;
    if was_removed then
      delete from container_accept_keys where container_id = opened_container;
    end if;
  end if;
end $$;

-- What the job that clears old invitations looks for (containers.md 5.6).
create index container_share_invites_bucket on container_share_invites (created_unix_timestamp_intdiv_five_million);

-- Incremental sync (C6) and purging (C10)

-- What a purge looks for. Only tombstones are in these indexes.
create index entries_deleted_at on entries (deleted_at) where deleted_at is not null;
create index categories_deleted_at on categories (deleted_at) where deleted_at is not null;

-- When the newest purged tombstone was made: with it gone, no row tells of that change any more.
alter table container_heads add column last_purged_change timestamp;

-- The rows of a soft-deleted container are not shown, so a client that followed it has dropped them or never seen them.
-- Once it is revived they are back, with old numbers: every client starts over, as after a purge.
create function restart_clients() returns trigger language plpgsql as $$
begin
  update container_heads set purged_sequence = last_sequence where container_id = new.id;
  return null;
end $$;

create trigger restart_clients after update of deleted_at on containers for each row
  when (old.deleted_at is not null and new.deleted_at is null) execute function restart_clients();

-- Rows of a container with a higher sequence number, lowest first. Rank 0 is the container itself, 1 a category, 2 an
-- entry. Each table stops at the limit by itself, so that no more is looked at in a container with many changes.
create function changed_rows(of_container uuid, above bigint, rows_max integer)
returns table (
  rank integer, id uuid, category_id uuid, encrypted_blob bytea, version_nonce bigint, modified_timestamp timestamp,
  deleted_at timestamp, sequence bigint
)
language sql stable as $$
  select * from (
    (
      select 0, id, null::uuid, encrypted_blob, version_nonce, modified_timestamp, deleted_at, sequence
      from containers
      where id = of_container and sequence > above
    )
    union all
    (
      select 1, id, null, encrypted_blob, version_nonce, modified_timestamp, deleted_at, sequence
      from categories
      where container_id = of_container and sequence > above
        and exists (select from containers where id = of_container and deleted_at is null)
      order by sequence
      limit rows_max
    )
    union all
    (
      select 2, id, category_id, encrypted_blob, version_nonce, modified_timestamp, deleted_at, sequence
      from entries
      where container_id = of_container and sequence > above
        and exists (select from containers where id = of_container and deleted_at is null)
      order by sequence
      limit rows_max
    )
  ) as changed
  order by sequence
  limit rows_max
$$;

-- One page of changes: what is above each client's position, container by container in the order of the request, until
-- bytes_max or rows_max is used up; the first row goes out whatever its size. A container with something new ends with a
-- row of rank 3 that tells how far it got: `sequence` is the client's next position, or null when the page had no room
-- for any row of it. When a key does not open its container, the answer is one row at place 0.
--
-- A mark other than -1: the client reads from the beginning, and began when the container's purged_sequence had this
-- number as its 23 lowest bits (src/sync/cursor.ts). Of what was purged until then it has seen nothing.
--
-- A function, so that it can stop where the page is full: one statement would look at a page's worth of every container.
-- It is stable, so that all of it sees one snapshot.
create function container_changes(
  key_ids uuid[], container_ids uuid[], positions bigint[], marks integer[], bytes_max integer, rows_max integer
)
returns table (
  place integer, rank integer, container_id uuid, id uuid, category_id uuid, encrypted_blob bytea, version_nonce bigint,
  modified_timestamp timestamp, deleted_at timestamp, sequence bigint, more boolean, reset boolean,
  purged_sequence bigint
)
language plpgsql stable as $$
#variable_conflict use_column
declare
  -- More than a row takes in protobuf besides its blob.
  row_bytes constant integer := 112;
  -- Rows that are looked at in one go: a page with room for fewer wastes little.
  slice_rows constant integer := 200;
  asked record;
  start bigint;
  reached bigint;
  rows_in_slice integer;
  bytes_left integer := bytes_max;
  rows_left integer := rows_max;
  is_empty boolean := true;
  is_full boolean := false;
begin
  for asked in
    select cursor.place, cursor.container_id, cursor.position, cursor.mark, head.last_sequence, head.purged_sequence
    from unnest(key_ids, container_ids, positions, marks)
      with ordinality as cursor (key_id, container_id, position, mark, place)
    left join container_access_keys as key
      on key.key_id = cursor.key_id and key.container_id = cursor.container_id
    left join container_heads as head on head.container_id = key.container_id
    where head.container_id is null or head.last_sequence <> cursor.position or cursor.mark <> -1
    order by head.container_id is not null, cursor.place
  loop
    if asked.last_sequence is null then
      place := 0;
      rank := 3;
      return next;
      return;
    end if;
    place := asked.place;
    container_id := asked.container_id;
    purged_sequence := asked.purged_sequence;
    reset := case
      when asked.mark = -1
        then asked.position > asked.last_sequence or (asked.position > 0 and asked.position < asked.purged_sequence)
      else asked.position >= asked.purged_sequence or asked.mark <> asked.purged_sequence & 8388607
    end;
    start := case when reset then 0 else asked.position end;
    reached := start;

    <<slices>>
    while not is_full loop
      rows_in_slice := 0;
      for rank, id, category_id, encrypted_blob, version_nonce, modified_timestamp, deleted_at, sequence in
        select * from changed_rows(asked.container_id, reached, slice_rows)
      loop
        bytes_left := bytes_left - row_bytes - octet_length(encrypted_blob);
        rows_left := rows_left - 1;
        is_full := (bytes_left < 0 or rows_left < 0) and not is_empty;
        exit slices when is_full;
        is_empty := false;
        rows_in_slice := rows_in_slice + 1;
        reached := sequence;
        return next;
      end loop;
      exit when rows_in_slice < slice_rows;
    end loop;

    more := is_full;
    if not is_full then
      sequence := asked.last_sequence;
    elsif reached > start then
      sequence := reached;
    else
      sequence := null;
      reset := false;
    end if;
    rank := 3;
    encrypted_blob := null;
    return next;
  end loop;
end $$;

-- Invitations (C1, C3)

-- Makes an invited user a member. Both the invitation, to the user's present address, and the accept key must be there
-- and go, or nothing happens: `encryption_key_encrypted` and `read_only` (the new key's flag) are null then. A function,
-- since it must see what was committed before its locks were had: who left, what was retracted, what was accepted with
-- the same accept key. Locks are taken in this order by all who take several: container, account, invitation, accept key.
create function accept_invitation(
  invitation uuid, accept_key uuid, opened_container uuid, by_user uuid, new_key uuid, new_public_key bytea,
  out has_account boolean, out encryption_key_encrypted bytea, out read_only boolean
) language plpgsql as $$
declare
  address text;
  sent_key bytea;
begin
  perform from container_heads where container_id = opened_container for update;
  select email into address from users where id = by_user for key share;
  has_account := found;
  select offer.encryption_key_encrypted into sent_key from container_share_invites as offer
  where id = invitation and recipient_user_email = address
  for update;
  if not found then
    return;
  end if;
  delete from container_accept_keys as taken where key_id = accept_key and container_id = opened_container
  returning taken.read_only into read_only;
  if not found then
    return;
  end if;
  delete from container_share_invites where id = invitation;
  insert into container_access_keys (key_id, container_id, public_key, read_only)
  values (new_key, opened_container, new_public_key, accept_invitation.read_only);
  encryption_key_encrypted := sent_key;
end $$;

-- Removes an invitation to the user's present address, and its accept key if that is still there. Locks as above.
create function decline_invitation(
  invitation uuid, accept_key uuid, opened_container uuid, by_user uuid,
  out has_account boolean, out was_declined boolean
) language plpgsql as $$
declare
  address text;
begin
  perform from container_heads where container_id = opened_container for update;
  select email into address from users where id = by_user for key share;
  has_account := found;
  delete from container_share_invites where id = invitation and recipient_user_email = address;
  was_declined := found;
  if was_declined then
    delete from container_accept_keys where key_id = accept_key and container_id = opened_container;
  end if;
end $$;
