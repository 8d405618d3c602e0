-- Tells every process how far containers have come, some hundred in one notification: it may have 8,000 bytes.
-- params: container_ids
-- returns: one
-- never null: notifications
with touched as (
  select container_id, last_sequence, row_number() over () as place
  from container_heads
  where container_id = any ($1::uuid[])
),
payload as (
  select string_agg(container_id || ' ' || last_sequence, ',') as text from touched group by place / 120
)
select count(pg_notify('container_changes', text)) as notifications from payload
