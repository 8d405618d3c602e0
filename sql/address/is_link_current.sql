-- Whether the account of a link still has the epoch that it had when the link was made.
-- params: user_id, epoch?
-- returns: one
-- never null: is_current
select exists (select from users where id = $1 and token_epoch = $2) as is_current
