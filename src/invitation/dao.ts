import { expired } from "../crypto/userTokens.ts";
import { containerDoesNotExist, readOnlyAccess, settleChange } from "../db/containerChange.ts";
import { invitation as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { ApiError } from "../errors.ts";
import type { ContainerAccess } from "../http/access.ts";
import { type AcceptAccess, type InviteSenderAccess, invitationDoesNotExist } from "../http/invitationAccess.ts";
import type { ContainerIdAndEncryptionKey, ContainerShareInvite } from "./messages.ts";

export interface Recipient {
  id: string;
  public_key_id: string;
  public_key: Uint8Array;
}

/**
 * Looks for the account that a container is to be offered to.
 *
 * @param email in lower case
 * @returns undefined when no account has the address
 * @throws ApiError TOKEN_EXPIRED when the caller's account is gone, CONTAINER_DOES_NOT_EXIST, READ_ONLY_ACCESS,
 * INVALID_STATE when the address is the caller's own
 */
export async function findRecipient(
  db: Db,
  access: ContainerAccess,
  caller_id: string,
  email: string,
): Promise<Recipient | undefined> {
  const row = await queries.find_recipient(db, { ...access, caller_id, recipient_email: email });
  if (!row) throw expired();
  if (row.read_only === null) throw containerDoesNotExist();
  if (row.read_only) throw readOnlyAccess();
  if (row.caller_email === email) throw new ApiError("INVALID_STATE", "You cannot invite yourself.");
  const { recipient_id, public_key_id, public_key } = row;
  if (recipient_id === null || public_key_id === null || public_key === null) return undefined;
  return { id: recipient_id, public_key_id, public_key };
}

export type NewInvitation = Omit<Parameters<typeof queries.create>[1], keyof ContainerAccess>;

/** @throws ApiError USER_DOES_NOT_EXIST when the recipient is gone by now, and those of settleChange */
export async function createInvitation(db: Db, access: ContainerAccess, invitation: NewInvitation): Promise<void> {
  await settleChange(
    () => queries.create(db, { ...access, ...invitation }),
    (row) => row.was_created,
    userDoesNotExist,
  );
}

/** Inviting tells that an address has no account (containers.md 7, decision C4). */
export function userDoesNotExist(): ApiError {
  return new ApiError("USER_DOES_NOT_EXIST", "No account has this e-mail address.");
}

/** The invitations to a user's present address, 500 at most, by id. @throws ApiError TOKEN_EXPIRED when the account is gone */
export async function listPending(db: Db, user_id: string): Promise<ContainerShareInvite[]> {
  const rows = await queries.pending(db, { user_id });
  if (rows.length === 0) throw expired();
  return rows.flatMap(({ id, ...invite }) => (id === null ? [] : [{ id, ...invite }]));
}

/**
 * Makes the user a member of the container, or changes nothing (decision C3).
 *
 * @param public_key of the new access key
 * @throws ApiError TOKEN_EXPIRED when the account is gone, INVITATION_DOES_NOT_EXIST
 */
export async function acceptInvitation(
  db: Db,
  accept: AcceptAccess,
  user_id: string,
  public_key: Uint8Array,
): Promise<ContainerIdAndEncryptionKey> {
  const new_key_id = crypto.randomUUID();
  const row = await queries.accept(db, { ...accept, user_id, new_key_id, new_public_key: public_key });
  if (!row.has_account) throw expired();
  const { encryption_key_encrypted, read_only } = row;
  if (encryption_key_encrypted === null || read_only === null) throw invitationDoesNotExist();
  const { container_id } = accept;
  return { container_id, container_access_key_id: new_key_id, encryption_key_encrypted, read_only };
}

/** @throws ApiError TOKEN_EXPIRED when the account is gone, INVITATION_DOES_NOT_EXIST */
export async function declineInvitation(db: Db, accept: AcceptAccess, user_id: string): Promise<void> {
  const { has_account, was_declined } = await queries.decline(db, { ...accept, user_id });
  if (!has_account) throw expired();
  if (!was_declined) throw invitationDoesNotExist();
}

/** Removes an invitation, also when that has happened meanwhile, and the accept key that goes with it. */
export async function retractInvitation(db: Db, access: InviteSenderAccess): Promise<void> {
  await queries.retract(db, access);
}
