-- Stores a fresh sign-in challenge for an address, keeps the newest 16 of the address (decision A6), and reads what the
-- client of that address must hash its password with. The columns are null when no account has the address.
-- params: address_hmac, nonce, expiration, now, email
-- returns: one
-- nullable: auth_string_hash_salt, auth_string_hash_mem_cost_kib, auth_string_hash_threads, auth_string_hash_iterations
with surplus as (
  delete from signin_challenges
  where address_hmac = $1
    and (
      expiration <= $4
      or nonce in (select nonce from signin_challenges where address_hmac = $1 order by expiration desc offset 15)
    )
),
created as (
  insert into signin_challenges (address_hmac, nonce, expiration)
  values ($1, $2, $3)
  on conflict (address_hmac, nonce) do nothing
)
select
  users.auth_string_hash_salt,
  users.auth_string_hash_mem_cost_kib,
  users.auth_string_hash_threads,
  users.auth_string_hash_iterations
from (select) as always
left join users on users.email = $5
