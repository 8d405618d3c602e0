-- Makes a category a tombstone and takes it from the entries of its container, tombstoned ones included. The entries
-- keep nonce and time, but each gets a sequence number, so that a synchronising client learns of it.
-- params: key_id, container_id, category_id, version_nonce
-- returns: one
select soft_delete_category($1, $2, $3, $4) as read_only
