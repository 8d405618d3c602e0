/**
 * The tokens that the server issues (accounts.md 2, decision A2):
 * base64url( claims JSON ‖ HMAC-SHA256(signing key, claims JSON) ).
 * Claims in clear: `exp` (Unix seconds), `typ`, `jti` (random id). Encrypted in `enc`, AES-128-GCM (NIST SP 800-38D) as
 * nonce (12 bytes) ‖ ciphertext ‖ tag (16): the user id (16 bytes), what the token is bound to (16), and in an
 * EmailChange token the new address. A token is bound to a session or to the account's epoch.
 * Tokens of the reference hold `uid` and `eml` in clear instead; they are accepted until they expire.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { ApiError } from "../errors.ts";
import { decodeBase64Url, encodeBase64Url } from "./base64url.ts";
import { type Claims, parseClaims, stringClaim, uint64Claim, uuidClaim } from "./claims.ts";
import { parseUuidBytes, uuidBytes } from "./uuid.ts";

export const TOKEN_TYPES = ["Access", "Refresh", "SignIn", "UserDeletion", "EmailChange"] as const;
export type TokenType = (typeof TOKEN_TYPES)[number];

const MAC_BYTES = 32;
const GCM_NONCE_BYTES = 12;
const GCM_TAG_BYTES = 16;
export const TOKEN_TEXT_MAX = 8192;
const UUID_BYTES = 16;
const NOT_BOUND = "00000000-0000-0000-0000-000000000000";

/** A token that could be taken apart; nothing about it is verified yet. */
export interface DecodedUserToken {
  readonly text: string;
  readonly signed: Uint8Array;
  readonly mac: Uint8Array;
  readonly claims: Claims;
}

/** What a verified token says. */
export interface UserToken {
  user_id: string;
  /** Of access and refresh tokens; absent in tokens of the reference. */
  session_id: string | undefined;
  /**
   * Of sign-in tokens and of links in mails: they are void once the account has another `token_epoch`. Absent in tokens
   * of the reference.
   */
  epoch: string | undefined;
  /** Of EmailChange tokens, else empty. */
  new_email: string;
  expirationSecs: number;
  /** The last 32 bytes of the token: unique per token, since every token has a random id. */
  mac: Uint8Array;
}

export interface NewUserToken {
  type: TokenType;
  user_id: string;
  /** A session for Access and Refresh, the account's epoch for the other types. */
  bound_to?: string;
  /** Only for EmailChange. */
  new_email?: string;
  expirationSecs: number;
}

export interface UserTokens {
  issue(token: NewUserToken): { text: string; mac: Uint8Array };
  /** Stage A of accounts.md 2.3. @throws ApiError INCORRECT_CREDENTIAL */
  decode(text: string): DecodedUserToken;
  /** Stage B. @throws ApiError INCORRECT_CREDENTIAL, TOKEN_EXPIRED, WRONG_TOKEN_TYPE in this order */
  verify(token: DecodedUserToken, type: TokenType, nowSecs: number): UserToken;
}

/**
 * @param signingKey 64 bytes
 * @param encryptionKey 16 bytes
 */
export function createUserTokens(signingKey: Uint8Array, encryptionKey: Uint8Array): UserTokens {
  const macOf = (signed: Uint8Array) => createHmac("sha256", signingKey).update(signed).digest();

  function encrypt(user_id: string, bound_to: string, new_email: string): string {
    const nonce = randomBytes(GCM_NONCE_BYTES);
    const cipher = createCipheriv("aes-128-gcm", encryptionKey, nonce);
    const plaintext = Buffer.concat([uuidBytes(user_id), uuidBytes(bound_to), Buffer.from(new_email)]);
    return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]).toString("base64url");
  }

  function decrypt(text: string): { user_id: string; bound_to: string | undefined; new_email: string } {
    const bytes = Buffer.from(text, "base64url");
    if (bytes.length < GCM_NONCE_BYTES + 2 * UUID_BYTES + GCM_TAG_BYTES) throw incorrect();
    const decipher = createDecipheriv("aes-128-gcm", encryptionKey, bytes.subarray(0, GCM_NONCE_BYTES));
    decipher.setAuthTag(bytes.subarray(-GCM_TAG_BYTES));
    try {
      const ciphertext = bytes.subarray(GCM_NONCE_BYTES, -GCM_TAG_BYTES);
      const plaintext = Buffer.concat([decipher.update(ciphertext), decipher.final()]);
      const bound_to = parseUuidBytes(plaintext.subarray(UUID_BYTES, 2 * UUID_BYTES));
      return {
        user_id: parseUuidBytes(plaintext.subarray(0, UUID_BYTES)),
        bound_to: bound_to === NOT_BOUND ? undefined : bound_to,
        new_email: plaintext.subarray(2 * UUID_BYTES).toString(),
      };
    } catch {
      throw incorrect(); // signed by us, but the encryption key was changed since
    }
  }

  return {
    issue({ type, user_id, bound_to = NOT_BOUND, new_email = "", expirationSecs }) {
      const jti = randomBytes(16).toString("base64url");
      const enc = encrypt(user_id, bound_to, new_email);
      const signed = Buffer.from(JSON.stringify({ exp: expirationSecs, typ: type, jti, enc }));
      const mac = macOf(signed);
      return { text: encodeBase64Url(Buffer.concat([signed, mac])), mac };
    },

    decode(text) {
      const bytes = text.length <= TOKEN_TEXT_MAX ? decodeBase64Url(text) : undefined;
      if (!bytes || bytes.length <= MAC_BYTES) throw incorrect();
      const signed = bytes.subarray(0, -MAC_BYTES);
      const claims = parseClaims(signed);
      if (!claims || !hasKnownForm(claims)) throw incorrect();
      return { text, signed, mac: bytes.subarray(-MAC_BYTES), claims };
    },

    verify({ signed, mac, claims }, type, nowSecs) {
      if (!timingSafeEqual(macOf(signed), mac)) throw incorrect();
      const expirationSecs = Number(uint64Claim(claims, "exp"));
      if (expirationSecs <= nowSecs) throw expired();
      if (stringClaim(claims, "typ") !== type) {
        throw new ApiError("WRONG_TOKEN_TYPE", `This needs a token of type ${type}.`);
      }
      const enc = stringClaim(claims, "enc");
      const { user_id, bound_to, new_email } = enc === undefined ? referenceClaims(claims) : decrypt(enc);
      const isOfSession = type === "Access" || type === "Refresh";
      return {
        user_id,
        session_id: isOfSession ? bound_to : undefined,
        epoch: isOfSession ? undefined : bound_to,
        new_email,
        expirationSecs,
        mac,
      };
    },
  };
}

function hasKnownForm(claims: Claims): boolean {
  const isTypeKnown = [...TOKEN_TYPES, "Nothing"].includes(stringClaim(claims, "typ") ?? "");
  if (!isTypeKnown || uint64Claim(claims, "exp") === undefined) return false;
  if (stringClaim(claims, "enc") !== undefined) return true;
  return uuidClaim(claims, "uid") !== undefined && stringClaim(claims, "eml") !== undefined;
}

/** We go by the user id wherever the reference went by the address in the token (decision A2). */
function referenceClaims(claims: Claims): { user_id: string; bound_to: undefined; new_email: string } {
  const user_id = uuidClaim(claims, "uid");
  if (user_id === undefined) throw incorrect();
  return { user_id, bound_to: undefined, new_email: "" };
}

function incorrect(): ApiError {
  return new ApiError("INCORRECT_CREDENTIAL", "The token is not valid.");
}

/** Also what a token gets whose session was ended. */
export function expired(): ApiError {
  return new ApiError("TOKEN_EXPIRED", "The token has expired.");
}
