-- Replaces a user's keystore if the caller has seen the newest version. No row when the user is gone.
-- params: user_id, encrypted_blob, version_nonce, expected_previous_version_nonce
-- returns: maybe
-- never null: was_replaced
with replaced as (
  update user_keystores set encrypted_blob = $2, version_nonce = $3
  where user_id = $1 and version_nonce = $4
  returning user_id
)
select exists (select from replaced) as was_replaced from user_keystores where user_id = $1
