-- Removes passcodes that expired and whose row no longer counts the mails of a sending period (decision A7).
-- params: now, period_floor, rows_max
-- returns: count
with expired as (
  select user_id, purpose from user_otps
  where expiration < $1 and period_start <= $2
  limit $3
  for update skip locked
)
delete from user_otps using expired
where user_otps.user_id = expired.user_id and user_otps.purpose = expired.purpose
