-- Moves every container's sequence numbers on, past those that were given out after the backup, and makes every client
-- read it from the beginning: whatever cursor it has is of another history.
-- params: gap
-- returns: count
update container_heads set last_sequence = last_sequence + $1, purged_sequence = last_sequence + $1
