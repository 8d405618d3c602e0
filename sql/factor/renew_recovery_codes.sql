-- Replaces the recovery codes of an account that has a confirmed factor; 0 for another.
-- params: user_id, recovery_code_hmacs
-- returns: count
update second_factors set recovery_code_hmacs = $2 where user_id = $1 and factors > 0
