-- Makes the deletion of an account due, whether one was scheduled or not. 0 without an account.
-- params: user_id, due_time
-- returns: count
insert into user_deletion_requests as request (user_id, ready_for_deletion_time)
select id, $2 from users where id = $1
on conflict (user_id) do update set
  ready_for_deletion_time = least(request.ready_for_deletion_time, excluded.ready_for_deletion_time)
