/**
 * Container access tokens (containers.md 2): made and signed by clients, only verified here.
 * base64url( claims JSON ‖ Ed25519 signature over it ), claims `kid` (key), `bid` (container), `exp` (Unix seconds).
 */
import { ApiError } from "../errors.ts";
import { decodeBase64Url } from "./base64url.ts";
import { parseClaims, uint64Claim, uuidClaim } from "./claims.ts";
import { ED25519_SIGNATURE_BYTES, verifyStrict } from "./ed25519.ts";
import { expired, TOKEN_TEXT_MAX } from "./userTokens.ts";

/** A token that could be taken apart; its signature is not verified yet. */
export interface ContainerToken {
  readonly text: string;
  readonly key_id: string;
  readonly container_id: string;
  readonly expirationSecs: bigint;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

/** @returns undefined when the text is no container access token; who asks knows the right error */
export function decodeContainerToken(text: string): ContainerToken | undefined {
  const bytes = text.length <= TOKEN_TEXT_MAX ? decodeBase64Url(text) : undefined;
  if (!bytes || bytes.length <= ED25519_SIGNATURE_BYTES) return undefined;
  const signed = bytes.subarray(0, -ED25519_SIGNATURE_BYTES);
  const claims = parseClaims(signed);
  if (!claims) return undefined;
  const key_id = uuidClaim(claims, "kid");
  const container_id = uuidClaim(claims, "bid");
  const expirationSecs = uint64Claim(claims, "exp");
  if (key_id === undefined || container_id === undefined || expirationSecs === undefined) return undefined;
  return { text, key_id, container_id, expirationSecs, signed, signature: bytes.subarray(-ED25519_SIGNATURE_BYTES) };
}

/**
 * @param publicKey 32 bytes, the stored key of (`kid`, `bid`)
 * @throws ApiError INCORRECT_CREDENTIAL for a bad signature, then TOKEN_EXPIRED
 */
export function verifyContainerToken(token: ContainerToken, publicKey: Uint8Array, nowSecs: number): void {
  if (!verifyStrict(publicKey, token.signed, token.signature)) throw incorrectContainerToken();
  requireUnexpired(token, nowSecs);
}

/** @throws ApiError TOKEN_EXPIRED */
export function requireUnexpired(token: Pick<ContainerToken, "expirationSecs">, nowSecs: number): void {
  if (token.expirationSecs <= BigInt(nowSecs)) throw expired();
}

/** One error for an undecodable token in a header and for a bad signature. */
export function incorrectContainerToken(): ApiError {
  return new ApiError("INCORRECT_CREDENTIAL", "The container token is not valid.");
}
