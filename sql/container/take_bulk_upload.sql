-- Notes that a user has used the one bulk upload of the account. Touches no row when that was before, or without account.
-- params: user_id
-- returns: count
update user_flags set has_performed_bulk_upload = true
where user_id = $1 and not has_performed_bulk_upload
