-- Cancels the deletion of an account, scheduled or only asked for. False without an account.
-- params: user_id, next_epoch
-- returns: one
-- never null: was_cancelled
select cancel_deletion($1, $2) as was_cancelled
