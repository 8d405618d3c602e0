-- Whether there is any account at all.
-- params:
-- returns: one
-- never null: has_any
select exists (select from users) as has_any
