-- Lists a refresh token that the reference issued as used. 0 when it was listed before.
-- params: token_signature, token_expiration
-- returns: count
insert into blacklisted_tokens (token_signature, token_expiration)
values ($1, $2)
on conflict (token_signature) do nothing
