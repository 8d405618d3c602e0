/** Inviting, and being invited, as clients do it. Calls may be refused; what "must" work throws. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { parseUuidBytes } from "../../src/crypto/uuid.ts";
import {
  AcceptKeyInfo,
  ContainerIdAndEncryptionKey,
  type ContainerShareInvite,
  ContainerShareInviteList,
  InvitationId,
  PublicKey,
  UserInvitationToContainer,
} from "../../src/invitation/messages.ts";
import type { NewUser } from "../../src/user/messages.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { granted } from "./accounts.ts";
import { Box, type Device, newUser, rawPublicKey, signContainerToken } from "./client.ts";
import { type RecipientKeys, rsaRecipient } from "./recipientKeys.ts";
import type { TestServer } from "./server.ts";

const SECS_PER_DAY = 86_400;
const ED25519_PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** A signed-in account with the keys that open what it is sent. */
export type Guest = Device & { user: NewUser; keys: RecipientKeys };

/** RSA key pairs are slow to make, so guests share one unless a test says otherwise. */
let sharedKeys: RecipientKeys | undefined;

function usualKeys(): RecipientKeys {
  sharedKeys ??= rsaRecipient();
  return sharedKeys;
}

export async function signUpGuest(server: TestServer, keys = usualKeys(), encoding?: Encoding): Promise<Guest> {
  const device = await server.signUp(newUser({ public_key: keys.publicKey }), encoding);
  return Object.assign(device, { keys });
}

/** What tells the time: a test's server, or a clock alone. */
export type Timekeeper = { services: { now(): number } };

export function secsFrom({ services }: Timekeeper, days = 1): number {
  return Math.floor(services.now() / 1000) + days * SECS_PER_DAY;
}

/** An invitation's body, with the private half of the key that retracts it. */
export function newInvitation(
  server: Timekeeper,
  email: string,
  overrides: Partial<UserInvitationToContainer> = {},
): { invitation: UserInvitationToContainer; senderKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const invitation: UserInvitationToContainer = {
    recipient_user_email: email,
    recipient_public_key_id_used_by_sender: crypto.randomUUID(),
    recipient_public_key_id_used_by_server: crypto.randomUUID(),
    sender_public_key: rawPublicKey(publicKey),
    encryption_key_encrypted: randomBytes(48),
    container_info_encrypted: randomBytes(60),
    sender_info_encrypted: randomBytes(70),
    share_info_symmetric_key_encrypted: randomBytes(256),
    expiration: BigInt(secsFrom(server)) * 1_000_000n,
    read_only: false,
    ...overrides,
  };
  return { invitation, senderKey: privateKey };
}

export function postInvitation(device: Device, box: Box, invitation: UserInvitationToContainer) {
  return device.client.call("POST", "/api/container/invitation", {
    request: [UserInvitationToContainer, invitation],
    response: InvitationId,
    headers: device.headers(box),
  });
}

/** What the sender of an invitation knows. */
export interface SentInvitation {
  id: string;
  accept_key_id: string;
  invitation: UserInvitationToContainer;
  senderKey: KeyObject;
}

export async function invite(
  server: TestServer,
  device: Device,
  box: Box,
  guest: { user: { email: string } },
  overrides: Partial<UserInvitationToContainer> = {},
): Promise<SentInvitation> {
  const { invitation, senderKey } = newInvitation(server, guest.user.email, overrides);
  const { value: id, accept_key_id = "" } = granted(await postInvitation(device, box, invitation));
  return { id, accept_key_id, invitation, senderKey };
}

/** @param claims more claims than the invitation's id and the expiry, or others */
export function senderToken({ id, senderKey }: SentInvitation, claims: Record<string, unknown> = {}): string {
  return signContainerToken(senderKey, { iid: id, exp: Math.floor(Date.now() / 1000) + 3600, ...claims });
}

export function retract(device: Device, token: string) {
  return device.client.call("DELETE", "/api/container/invitation", {
    headers: { ...device.headers(), "x-container-invite-sender-token": token },
  });
}

export function getPending(device: Device) {
  return device.client.call("GET", "/api/container/invitation/all-pending", {
    response: ContainerShareInviteList,
    headers: device.headers(),
  });
}

export async function listPending(device: Device): Promise<ContainerShareInvite[]> {
  return granted(await getPending(device)).invites;
}

/** An invitation after its recipient has unwrapped it. */
export interface ReceivedInvitation {
  id: string;
  accept_key_id: string;
  container_id: string;
  acceptKey: KeyObject;
  info: AcceptKeyInfo;
}

/** @param container_id clients tell it within container_info_encrypted, which the server cannot read */
export async function unwrapInvitation(
  keys: RecipientKeys,
  invite: ContainerShareInvite,
  container_id: string,
): Promise<ReceivedInvitation> {
  const seed = await keys.unwrap("accept private key", invite.container_accept_key_encrypted);
  if (seed.length !== 32) throw new Error(`the accept key has ${seed.length} bytes`);
  const key = Buffer.concat([ED25519_PKCS8_PREFIX, seed]);
  const id = await keys.unwrap("accept key id", invite.container_accept_key_id_encrypted);
  const info = await keys.unwrap("accept key info", invite.container_accept_key_info_encrypted);
  return {
    id: invite.id,
    accept_key_id: parseUuidBytes(id),
    container_id,
    acceptKey: createPrivateKey({ key, format: "der", type: "pkcs8" }),
    info: AcceptKeyInfo.decodeProtobuf(info),
  };
}

/** Invites a guest and lets the guest unwrap that invitation. */
export async function inviteAndUnwrap(
  server: TestServer,
  device: Device,
  box: Box,
  guest: Guest,
  overrides: Partial<UserInvitationToContainer> = {},
): Promise<{ sent: SentInvitation; received: ReceivedInvitation }> {
  const sent = await invite(server, device, box, guest, overrides);
  const pending = (await listPending(guest)).find(({ id }) => id === sent.id);
  if (!pending) throw new Error("the invitation is not listed");
  return { sent, received: await unwrapInvitation(guest.keys, pending, box.id) };
}

/** @param claims other claims than those of the invitation, and an expiry in an hour */
export function acceptToken(received: ReceivedInvitation, claims: Record<string, unknown> = {}): string {
  const { id, accept_key_id, container_id, acceptKey } = received;
  const exp = Math.floor(Date.now() / 1000) + 3600;
  return signContainerToken(acceptKey, { iid: id, kid: accept_key_id, cid: container_id, exp, ...claims });
}

/** @param publicKey of the access key that the guest is to have */
export function putAccept(device: Device, token: string, publicKey: Uint8Array = newPublicKey()) {
  return device.client.call("PUT", "/api/container/invitation/accept", {
    request: [PublicKey, { value: publicKey }],
    response: ContainerIdAndEncryptionKey,
    headers: { ...device.headers(), "x-container-accept-token": token },
  });
}

export function putDecline(device: Device, token: string) {
  return device.client.call("PUT", "/api/container/invitation/decline", {
    headers: { ...device.headers(), "x-container-accept-token": token },
  });
}

export function newPublicKey(): Uint8Array {
  return rawPublicKey(generateKeyPairSync("ed25519").publicKey);
}

/** Accepts, with a fresh key, which opens the result. */
export async function mustAccept(
  device: Device,
  received: ReceivedInvitation,
): Promise<{ box: Box; answer: ContainerIdAndEncryptionKey }> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const answer = granted(await putAccept(device, acceptToken(received), rawPublicKey(publicKey)));
  return { box: new Box(answer.container_id, answer.container_access_key_id, privateKey), answer };
}
