-- The newest migration, and the connections of the process that asks: all, and those that do nothing, the asking one
-- included.
-- params:
-- returns: one
-- never null: schema_version, connections, idle_connections
select
  (select coalesce(max(version), 0)::int from schema_migrations) as schema_version,
  count(*)::int as connections,
  (count(*) filter (where state = 'idle' or pid = pg_backend_pid()))::int as idle_connections
from pg_stat_activity
where application_name = current_setting('application_name') and datname = current_database()
