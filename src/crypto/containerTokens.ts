/**
 * The tokens that open a container or act on an invitation (containers.md 2): made and signed by clients, only verified
 * here. base64url( claims JSON ‖ Ed25519 signature over it ). UUID claims, and `exp` in Unix seconds:
 * - access: `kid` access key, `bid` container;
 * - accept: `iid` invitation, `kid` accept key, `cid` container;
 * - invite sender: `iid` invitation, and optionally `kid` accept key (new-messages.md, Retract).
 */
import { ApiError } from "../errors.ts";
import { decodeBase64Url } from "./base64url.ts";
import { type Claims, parseClaims, uint64Claim, uuidClaim } from "./claims.ts";
import { ED25519_SIGNATURE_BYTES, verifyStrict } from "./ed25519.ts";
import { expired, TOKEN_TEXT_MAX } from "./userTokens.ts";

/** What every such token has. Its signature is not verified yet. */
export interface SignedToken {
  readonly expirationSecs: bigint;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

/** A container access token that could be taken apart. */
export interface ContainerToken extends SignedToken {
  readonly text: string;
  readonly key_id: string;
  readonly container_id: string;
}

/** A container accept token that could be taken apart. */
export interface AcceptToken extends SignedToken {
  readonly invitation_id: string;
  readonly accept_key_id: string;
  readonly container_id: string;
}

/** An invite-sender token that could be taken apart. */
export interface InviteSenderToken extends SignedToken {
  readonly invitation_id: string;
  /** Of the accept key that goes with the invitation, if its sender wants that. */
  readonly accept_key_id: string | undefined;
}

/** @returns undefined when the text is no container access token; who asks knows the right error */
export function decodeContainerToken(text: string): ContainerToken | undefined {
  const token = takeApart(text);
  if (!token) return undefined;
  const key_id = uuidClaim(token.claims, "kid");
  const container_id = uuidClaim(token.claims, "bid");
  if (key_id === undefined || container_id === undefined) return undefined;
  return { ...token.parts, text, key_id, container_id };
}

/** @returns undefined when the text is no accept token */
export function decodeAcceptToken(text: string): AcceptToken | undefined {
  const token = takeApart(text);
  if (!token) return undefined;
  const invitation_id = uuidClaim(token.claims, "iid");
  const accept_key_id = uuidClaim(token.claims, "kid");
  const container_id = uuidClaim(token.claims, "cid");
  if (invitation_id === undefined || accept_key_id === undefined || container_id === undefined) return undefined;
  return { ...token.parts, invitation_id, accept_key_id, container_id };
}

/** @returns undefined when the text is no invite-sender token, or its `kid` is no UUID */
export function decodeInviteSenderToken(text: string): InviteSenderToken | undefined {
  const token = takeApart(text);
  if (!token) return undefined;
  const invitation_id = uuidClaim(token.claims, "iid");
  const accept_key_id = uuidClaim(token.claims, "kid");
  // Ignoring an unreadable `kid` would leave an accept key alive that its sender believes dead.
  if (invitation_id === undefined || (accept_key_id === undefined && token.claims.has("kid"))) return undefined;
  return { ...token.parts, invitation_id, accept_key_id };
}

function takeApart(text: string): { claims: Claims; parts: SignedToken } | undefined {
  const bytes = text.length <= TOKEN_TEXT_MAX ? decodeBase64Url(text) : undefined;
  if (!bytes || bytes.length <= ED25519_SIGNATURE_BYTES) return undefined;
  const signed = bytes.subarray(0, -ED25519_SIGNATURE_BYTES);
  const claims = parseClaims(signed);
  if (!claims) return undefined;
  const expirationSecs = uint64Claim(claims, "exp");
  if (expirationSecs === undefined) return undefined;
  return { claims, parts: { expirationSecs, signed, signature: bytes.subarray(-ED25519_SIGNATURE_BYTES) } };
}

/**
 * Verifies any of the three kinds.
 *
 * @param publicKey 32 bytes, as it is stored; anything else lets nobody in
 * @throws ApiError INCORRECT_CREDENTIAL for a bad signature, then TOKEN_EXPIRED
 */
export function verifyContainerToken(token: SignedToken, publicKey: Uint8Array, nowSecs: number): void {
  if (!verifyStrict(publicKey, token.signed, token.signature)) throw incorrectContainerToken();
  requireUnexpired(token, nowSecs);
}

/** @throws ApiError TOKEN_EXPIRED */
export function requireUnexpired(token: Pick<SignedToken, "expirationSecs">, nowSecs: number): void {
  if (token.expirationSecs <= BigInt(nowSecs)) throw expired();
}

/** One error for an undecodable token in a header and for a bad signature. */
export function incorrectContainerToken(): ApiError {
  return new ApiError("INCORRECT_CREDENTIAL", "The container token is not valid.");
}
