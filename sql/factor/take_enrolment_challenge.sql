-- Uses up the challenge that a session was given to enrol a passkey; null when there is none or it has expired. No row
-- without an account.
-- params: user_id, binding, now
-- returns: maybe
with taken as (
  delete from passkey_challenges
  where user_id = $1 and purpose = 'enrolment' and binding = $2
  returning case when expiration > $3 then challenge end as challenge
)
select users.email, taken.challenge
from users
left join taken on true
where users.id = $1
