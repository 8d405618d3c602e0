/** What sharing a container says on the wire (messages.md, new-messages.md). */
import { bool, bytes, list, optional, string, timestamp, uint64, uuid } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

export const UserInvitationToContainer = defineMessage("UserInvitationToContainer", {
  recipient_user_email: string(1),
  recipient_public_key_id_used_by_sender: uuid(2),
  recipient_public_key_id_used_by_server: uuid(3),
  sender_public_key: bytes(4),
  encryption_key_encrypted: bytes(5),
  container_info_encrypted: bytes(6),
  sender_info_encrypted: bytes(7),
  share_info_symmetric_key_encrypted: bytes(8),
  expiration: timestamp(9),
  read_only: bool(10),
});
export type UserInvitationToContainer = MessageType<typeof UserInvitationToContainer>;

export const PublicKey = defineMessage("PublicKey", {
  value: bytes(1),
});
export type PublicKey = MessageType<typeof PublicKey>;

export const InvitationId = defineMessage("InvitationId", {
  value: uuid(1),
  /** Told to the sender only, who may retract with it; stored nowhere beside the invitation. */
  accept_key_id: optional(uuid(2)),
});
export type InvitationId = MessageType<typeof InvitationId>;

export const ContainerShareInvite = defineMessage("ContainerShareInvite", {
  id: uuid(1),
  container_accept_key_encrypted: bytes(2),
  container_accept_key_id_encrypted: bytes(3),
  container_info_encrypted: bytes(4),
  sender_info_encrypted: bytes(5),
  container_accept_key_info_encrypted: bytes(6),
  share_info_symmetric_key_encrypted: bytes(7),
  recipient_public_key_id_used_by_sender: uuid(8),
  recipient_public_key_id_used_by_server: uuid(9),
});
export type ContainerShareInvite = MessageType<typeof ContainerShareInvite>;

export const ContainerShareInviteList = defineMessage("ContainerShareInviteList", {
  invites: list(1, ContainerShareInvite),
});
export type ContainerShareInviteList = MessageType<typeof ContainerShareInviteList>;

export const ContainerIdAndEncryptionKey = defineMessage("ContainerIdAndEncryptionKey", {
  container_id: uuid(1),
  container_access_key_id: uuid(2),
  encryption_key_encrypted: bytes(3),
  read_only: bool(4),
});
export type ContainerIdAndEncryptionKey = MessageType<typeof ContainerIdAndEncryptionKey>;

/** Sealed for the recipient; never the body of a request or an answer. */
export const AcceptKeyInfo = defineMessage("AcceptKeyInfo", {
  read_only: bool(1),
  /** Unix time in seconds. */
  expiration: uint64(2),
});
export type AcceptKeyInfo = MessageType<typeof AcceptKeyInfo>;
