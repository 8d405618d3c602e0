/** Sharing a container by invitation (containers.md 5). */
import type { Config } from "../config.ts";
import { isStrictPublicKey } from "../crypto/ed25519.ts";
import { phonyPublicKey } from "../crypto/phonyPublicKey.ts";
import { requireAddress } from "../emailAddress.ts";
import { ApiError } from "../errors.ts";
import { endpoint } from "../http/endpoint.ts";
import { encryptionKeyBytesMax, invitationInfoBytesMax, requireSizes } from "../http/sizes.ts";
import { nowMicros } from "../services.ts";
import { makeAcceptKey } from "./acceptKey.ts";
import { creationBucket } from "./creationBucket.ts";
import {
  acceptInvitation,
  createInvitation,
  declineInvitation,
  findRecipient,
  listPending,
  retractInvitation,
  userDoesNotExist,
} from "./dao.ts";
import {
  ContainerIdAndEncryptionKey,
  ContainerShareInviteList,
  InvitationId,
  PublicKey,
  UserInvitationToContainer,
} from "./messages.ts";

const MICROS_PER_DAY = 86_400_000_000n;

export const invitationRoutes = [
  endpoint(
    {
      method: "POST",
      path: "/api/container/invitation",
      summary: "Offers a container to the account with an address.",
      limit: "create",
      tokens: { user: true, container: "write" },
      request: UserInvitationToContainer,
      response: InvitationId,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "INVALID_STATE", "USER_DOES_NOT_EXIST"],
    },
    async ({ services, body, proofs }) => {
      const now = nowMicros(services);
      const email = requireWellFormed(body, services.config, now);
      const recipient = await findRecipient(services.db, proofs.container, proofs.user.user_id, email);
      const phony = phonyPublicKey(services.keys.phony, email); // for every request, so that all cost the same
      const acceptKey = await makeAcceptKey(recipient?.public_key ?? phony.value, body);
      if (!recipient) throw userDoesNotExist();
      const invitation_id = crypto.randomUUID();
      await createInvitation(services.db, proofs.container, {
        ...body,
        recipient_id: recipient.id,
        invitation_id,
        container_accept_private_key_encrypted: acceptKey.wrapped.privateKey,
        container_accept_key_info_encrypted: acceptKey.wrapped.info,
        container_accept_key_id_encrypted: acceptKey.wrapped.id,
        recipient_public_key_id_used_by_server: recipient.public_key_id,
        creation_bucket: creationBucket(now),
        accept_key_id: acceptKey.id,
        accept_public_key: acceptKey.public_key,
      });
      return { value: invitation_id, accept_key_id: acceptKey.id };
    },
  ),

  endpoint(
    {
      method: "DELETE",
      path: "/api/container/invitation",
      summary: "Retracts an invitation, with its accept key if the sender's token names that.",
      limit: "modify",
      tokens: { user: true, inviteSender: true },
    },
    async ({ services, proofs }) => {
      await retractInvitation(services.db, proofs.inviteSender);
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/container/invitation/accept",
      summary: "Makes the invited caller a member, with an access key of the caller's own.",
      limit: "modify",
      tokens: { user: true, accept: "live" },
      request: PublicKey,
      response: ContainerIdAndEncryptionKey,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE"],
    },
    async ({ services, body, proofs }) => {
      requireSizes([["value", body.value, encryptionKeyBytesMax(services.config)]]);
      requireEd25519("value", body.value);
      return acceptInvitation(services.db, proofs.accept, proofs.user.user_id, body.value);
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/container/invitation/decline",
      summary: "Declines an invitation to the caller, also one whose time is over.",
      limit: "modify",
      tokens: { user: true, accept: "any" },
    },
    async ({ services, proofs }) => {
      await declineInvitation(services.db, proofs.accept, proofs.user.user_id);
    },
  ),

  endpoint(
    {
      method: "GET",
      path: "/api/container/invitation/all-pending",
      summary: "Lists the invitations to the caller, also those whose time is over.",
      limit: "read",
      tokens: { user: true },
      response: ContainerShareInviteList,
    },
    async ({ services, proofs }) => ({ invites: await listPending(services.db, proofs.user.user_id) }),
  ),
];

/**
 * Sizes first, then form and ranges (decision W8).
 *
 * @param now microseconds since the epoch
 * @returns the recipient's address in lower case
 * @throws ApiError INPUT_TOO_LARGE, INCORRECTLY_FORMED
 */
function requireWellFormed(invitation: UserInvitationToContainer, config: Config, now: bigint): string {
  const keyBytesMax = encryptionKeyBytesMax(config);
  const infoBytesMax = invitationInfoBytesMax(config);
  requireSizes([
    ["sender_public_key", invitation.sender_public_key, keyBytesMax],
    ["encryption_key_encrypted", invitation.encryption_key_encrypted, keyBytesMax],
    ["container_info_encrypted", invitation.container_info_encrypted, infoBytesMax],
    ["sender_info_encrypted", invitation.sender_info_encrypted, infoBytesMax],
    ["share_info_symmetric_key_encrypted", invitation.share_info_symmetric_key_encrypted, keyBytesMax],
  ]);
  const email = requireAddress("recipient_user_email", invitation.recipient_user_email);
  requireEd25519("sender_public_key", invitation.sender_public_key);
  const { invitationLifetimeMaxDays } = config;
  const latest = now + BigInt(invitationLifetimeMaxDays) * MICROS_PER_DAY;
  if (invitation.expiration < now || invitation.expiration > latest) {
    throw new ApiError(
      "INCORRECTLY_FORMED",
      `expiration must lie between now and ${invitationLifetimeMaxDays} days from now.`,
    );
  }
  return email;
}

/** @throws ApiError INCORRECTLY_FORMED (decision W9) */
function requireEd25519(field: string, key: Uint8Array): void {
  if (isStrictPublicKey(key)) return;
  throw new ApiError("INCORRECTLY_FORMED", `${field} is not a valid Ed25519 public key.`);
}
