-- Whether the deletion of an account is scheduled. No row without an account.
-- params: user_id
-- returns: maybe
-- never null: is_scheduled
select exists (select from user_deletion_requests where user_id = users.id) as is_scheduled
from users
where id = $1
