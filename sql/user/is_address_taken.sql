-- Whether an account has this address, to be asked before the expensive hashing. The insert decides.
-- params: email
-- returns: one
-- never null: is_taken
select exists (select from users where email = $1) as is_taken
