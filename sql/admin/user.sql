-- Everything that the server knows of an account, for the operator; of blobs and of what it signs in with, sizes and
-- kinds only. No row without an account.
-- params: email, now
-- returns: maybe
-- nullable: ready_for_deletion_time, deletion_failures, has_performed_bulk_upload, preferences_bytes, keystore_bytes
-- never null: session_count, has_totp, passkey_count, recovery_codes_left, listed_keys, invitation_count
select
  users.id,
  users.email,
  users.verification_deadline,
  users.public_key_id,
  users.public_key,
  (select count(*) from sessions where user_id = users.id and expiration > $2) as session_count,
  (select max(expiration) from sessions where user_id = users.id and expiration > $2) as last_session_expiration,
  exists (
    select from totp_factors where user_id = users.id and confirmation_deadline is null
  ) as has_totp,
  (select count(*) from passkeys where user_id = users.id) as passkey_count,
  coalesce((select cardinality(recovery_code_hmacs) from second_factors where user_id = users.id), 0)
    as recovery_codes_left,
  deletion.ready_for_deletion_time,
  failed_user_deletions.failures as deletion_failures,
  (select count(*) from user_deletion_request_container_keys where user_id = users.id) as listed_keys,
  (select count(*) from container_share_invites where recipient_user_email = users.email) as invitation_count,
  user_flags.has_performed_bulk_upload,
  octet_length(user_preferences.encrypted_blob) as preferences_bytes,
  octet_length(user_keystores.encrypted_blob) as keystore_bytes
from users
left join user_deletion_requests as deletion on deletion.user_id = users.id
left join failed_user_deletions on failed_user_deletions.user_id = users.id
left join user_flags on user_flags.user_id = users.id
left join user_preferences on user_preferences.user_id = users.id
left join user_keystores on user_keystores.user_id = users.id
where users.email = $1
