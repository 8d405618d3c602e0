-- Stores an invitation and its accept key; no column links the two. The recipient is found by id: the address may have
-- changed since it was looked up.
-- params: key_id, container_id, recipient_id, invitation_id, sender_public_key, encryption_key_encrypted, container_accept_private_key_encrypted, container_info_encrypted, sender_info_encrypted, container_accept_key_info_encrypted, container_accept_key_id_encrypted, share_info_symmetric_key_encrypted, recipient_public_key_id_used_by_sender, recipient_public_key_id_used_by_server, creation_bucket, accept_key_id, accept_public_key, expiration, read_only
-- returns: one
-- never null: was_created
with access as (
  select lock_container($1, $2) as read_only
),
recipient as (
  select email from users where id = $3 and exists (select from access where not read_only)
  for key share
),
invitation as (
  insert into container_share_invites (
    id, recipient_user_email, sender_public_key, encryption_key_encrypted, container_accept_private_key_encrypted,
    container_info_encrypted, sender_info_encrypted, container_accept_key_info_encrypted,
    container_accept_key_id_encrypted, share_info_symmetric_key_encrypted, recipient_public_key_id_used_by_sender,
    recipient_public_key_id_used_by_server, created_unix_timestamp_intdiv_five_million
  )
  select $4, recipient.email, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
  from recipient
  returning id
),
accept_key as (
  insert into container_accept_keys (key_id, container_id, public_key, expiration, read_only)
  select $16, $2, $17, $18, $19
  from invitation
)
select (select read_only from access) as read_only, exists (select from invitation) as was_created
