-- One page of changes of several containers, as container_changes tells. Rows have rank 0 (the container), 1 (a category)
-- or 2 (an entry); of a row of rank 3 only place, sequence, more, reset and purged_sequence mean something. Place 0: a key
-- does not open its container.
-- params: key_ids, container_ids, positions, marks, bytes_max, rows_max
-- returns: many
-- never null: place, rank, container_id, id, encrypted_blob, version_nonce, modified_timestamp, more, reset, purged_sequence
select
  place, rank, container_id, id, category_id, encrypted_blob, version_nonce, modified_timestamp, deleted_at, sequence,
  more, reset, purged_sequence
from container_changes($1, $2, $3, $4, $5, $6)
