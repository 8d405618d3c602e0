-- Whether there is any account at all.
-- params:
-- returns: one
-- never null: exist
select exists (select from users) as exist
