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

-- Removes the key of another member. `read_only` is the caller's own flag, as lock_container answers it.
create function remove_member(
  opened_by uuid, opened_container uuid, removed_key uuid, out read_only boolean, out was_removed boolean
) language plpgsql as $$
begin
  was_removed := false;
  read_only := lock_container(opened_by, opened_container);
  if read_only = false and removed_key <> opened_by then
    delete from container_access_keys where key_id = removed_key and container_id = opened_container;
    was_removed := found;
  end if;
end $$;
