-- The tables that a backup holds, with their columns and primary keys. Unlogged tables hold nothing that is worth keeping.
-- params:
-- returns: many
-- never null: name, columns, key
select
  tables.relname::text as name,
  array(
    select attname::text from pg_attribute
    where attrelid = tables.oid and attnum > 0 and not attisdropped
    order by attnum
  ) as columns,
  array(
    select attname::text
    from pg_index
    join unnest(indkey) with ordinality as part (attnum, place) on true
    join pg_attribute as attribute on attrelid = indrelid and attribute.attnum = part.attnum
    where indrelid = tables.oid and indisprimary
    order by place
  ) as key
from pg_class as tables
where relnamespace = current_schema()::regnamespace and relkind = 'r' and relpersistence = 'p'
order by relname
