-- Removes used tokens that expired before a time.
-- params: expired_before, rows_max
-- returns: count
with expired as (
  select token_signature from blacklisted_tokens
  where token_expiration < $1
  limit $2
  for update skip locked
)
delete from blacklisted_tokens using expired where blacklisted_tokens.token_signature = expired.token_signature
