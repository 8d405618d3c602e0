-- Locks a container until the transaction ends, so that the next statement sees everything that came before it, and
-- says whether the key may write. No row when the key does not open the container, or was removed while this waited.
-- params: key_id, container_id
-- returns: maybe
select access_key.read_only
from container_heads
join container_access_keys as access_key on access_key.container_id = container_heads.container_id
where container_heads.container_id = $2 and access_key.key_id = $1
for update of container_heads
for key share of access_key
