-- What the operator's check wants to know of the database itself. connections_max leaves out those kept for superusers.
-- params:
-- returns: one
-- never null: server_version_num, server_encoding, fsync, connections_max, may_create, is_exposed, now
select
  current_setting('server_version_num')::int as server_version_num,
  current_setting('server_encoding') as server_encoding,
  current_setting('fsync') as fsync,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as connections_max,
  coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create,
  -- Neither encrypted nor on this machine.
  not coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)
    and coalesce(inet_server_addr() <> inet_client_addr(), false) as is_exposed,
  timezone('utc', clock_timestamp()) as now
