-- Lists accounts for the operator, in the order of their ids, from the one after a given id on.
-- params: after?, now, rows_max
-- returns: many
-- nullable: ready_for_deletion_time
-- never null: session_count
select
  users.id,
  users.email,
  users.verification_deadline,
  (select count(*) from sessions where user_id = users.id and expiration > $2) as session_count,
  deletion.ready_for_deletion_time
from users
left join user_deletion_requests as deletion on deletion.user_id = users.id
where $1::uuid is null or users.id > $1
order by users.id
limit $3
