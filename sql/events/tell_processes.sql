-- Tells every process which containers have changed, 200 in one notification: it may have 8,000 bytes.
-- params: container_ids
-- returns: one
-- never null: notifications
with payload as (
  select string_agg(container_id::text, ',') as text
  from unnest($1::uuid[]) with ordinality as changed (container_id, place)
  group by place / 200
)
select count(pg_notify('container_changes', text)) as notifications from payload
