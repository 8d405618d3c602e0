/**
 * Passkeys as a second factor (WebAuthn Level 3): what browsers are asked, and whether what they answer is right.
 * A passkey never replaces the password here: it is asked for after it, and for the passkeys of one account.
 */
import { createHmac } from "node:crypto";
import type { Config } from "../config.ts";
import type { Services } from "../services.ts";
import { APP_NAME } from "./appName.ts";
import type { Assertion, Registration } from "./passkeyResponses.ts";

/**
 * Loaded when the first passkey comes: it is large, and starting should not wait for it. In the executable the library's
 * own import of reflect-metadata comes too late for it.
 */
async function loadLibrary() {
  await import("reflect-metadata");
  const [server, helpers] = await Promise.all([
    import("@simplewebauthn/server"),
    import("@simplewebauthn/server/helpers"),
  ]);
  return { ...server, ...helpers };
}
type Library = Awaited<ReturnType<typeof loadLibrary>>;

export const PASSKEY_CHALLENGE_BYTES = 32;
/** How long a person may take to answer. */
export const PASSKEY_CHALLENGE_LIFETIME_MS = 5 * 60_000;
/** EdDSA, ES256 and RS256 (COSE numbers): every authenticator can do one of them. */
const ALGORITHMS = [-8, -7, -257];
const TRANSPORTS = ["ble", "cable", "hybrid", "internal", "nfc", "smart-card", "usb"];
/** As the table holds it. */
const PUBLIC_KEY_BYTES_MAX = 4096;
/**
 * The password was the first factor, so that holding the passkey is enough; but whoever can show that they are the
 * owner, by finger or PIN, shall.
 */
const USER_VERIFICATION = "preferred";

/** A passkey of the account, as its row has it. */
export interface KnownPasskey {
  credential_id: Uint8Array;
  transports: string[];
}

/** What `navigator.credentials.create` is asked with, as JSON text. */
export async function enrolmentOptions(
  { config, keys }: Pick<Services, "config" | "keys">,
  account: { user_id: string; email: string; passkeys: readonly KnownPasskey[] },
  challenge: Uint8Array,
): Promise<string> {
  const { generateRegistrationOptions } = await loadLibrary();
  const options = await generateRegistrationOptions({
    rpName: APP_NAME,
    rpID: relyingPartyId(config),
    userName: account.email,
    userDisplayName: account.email,
    userID: userHandle(keys.passkeyUsers, account.user_id),
    challenge: Uint8Array.from(challenge),
    timeout: PASSKEY_CHALLENGE_LIFETIME_MS,
    attestationType: "none",
    excludeCredentials: account.passkeys.map(descriptorOf),
    // Discoverable ones are not needed, but where they are preferred they follow their owner to a new phone.
    authenticatorSelection: { residentKey: "preferred", userVerification: USER_VERIFICATION },
    supportedAlgorithmIDs: ALGORITHMS,
  });
  return JSON.stringify(options);
}

/** What `navigator.credentials.get` is asked with, as JSON text. */
export async function signInOptions(
  config: Config,
  passkeys: readonly KnownPasskey[],
  challenge: Uint8Array,
): Promise<string> {
  const { generateAuthenticationOptions } = await loadLibrary();
  const options = await generateAuthenticationOptions({
    rpID: relyingPartyId(config),
    allowCredentials: passkeys.map(descriptorOf),
    challenge: Uint8Array.from(challenge),
    timeout: PASSKEY_CHALLENGE_LIFETIME_MS,
    userVerification: USER_VERIFICATION,
  });
  return JSON.stringify(options);
}

/**
 * Checks the answer to `enrolmentOptions`.
 *
 * @returns what is stored of the new passkey; undefined when the answer is not right
 */
export async function checkRegistration(
  { config, log }: Pick<Services, "config" | "log">,
  registration: Registration,
  challenge: Uint8Array,
): Promise<
  { credential_id: Uint8Array; public_key: Uint8Array; sign_count: bigint; transports: string[] } | undefined
> {
  const library = await loadLibrary();
  const { id, rawId, type, response } = registration;
  warnOfForeignOrigin({ config, log }, response.clientDataJSON);
  try {
    const attestationObject = withoutStatement(library, response.attestationObject);
    const { registrationInfo } = await library.verifyRegistrationResponse({
      response: { id, rawId, type, response: { ...response, attestationObject }, clientExtensionResults: {} },
      expectedChallenge: base64Url(challenge),
      expectedOrigin: allowedOrigins(config),
      expectedRPID: relyingPartyId(config),
      requireUserVerification: false,
      supportedAlgorithmIDs: ALGORITHMS,
    });
    const credential = registrationInfo?.credential;
    if (credential?.id !== id || credential.publicKey.length > PUBLIC_KEY_BYTES_MAX) return undefined;
    await requireKey(library, credential.publicKey);
    return {
      credential_id: Buffer.from(id, "base64url"),
      public_key: credential.publicKey,
      sign_count: BigInt(credential.counter),
      transports: TRANSPORTS.filter((transport) => response.transports?.includes(transport)),
    };
  } catch {
    return undefined; // the library says by exceptions what is wrong
  }
}

/**
 * Checks the answer to `signInOptions` with the passkey's row. The user handle in it is not looked at: the passkey is
 * found among those of the account.
 *
 * @returns the passkey's new counter; undefined when the answer is not right, or the counter went back
 */
export async function checkAssertion(
  { config, log }: Pick<Services, "config" | "log">,
  assertion: Assertion,
  passkey: { public_key: Uint8Array; sign_count: bigint },
  challenge: Uint8Array,
): Promise<bigint | undefined> {
  const { verifyAuthenticationResponse } = await loadLibrary();
  warnOfForeignOrigin({ config, log }, assertion.response.clientDataJSON);
  const { id, rawId, type, response } = assertion;
  const { clientDataJSON, authenticatorData, signature } = response;
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: {
        id,
        rawId,
        type,
        response: { clientDataJSON, authenticatorData, signature },
        clientExtensionResults: {},
      },
      expectedChallenge: base64Url(challenge),
      expectedOrigin: allowedOrigins(config),
      expectedRPID: relyingPartyId(config),
      credential: { id, publicKey: Uint8Array.from(passkey.public_key), counter: Number(passkey.sign_count) },
      requireUserVerification: false,
    });
    return verified ? BigInt(authenticationInfo.newCounter) : undefined;
  } catch {
    return undefined; // the library says by exceptions what is wrong
  }
}

/** Host names have no letter case, but browsers hash the one that we say. */
function relyingPartyId({ passkeyDomain }: Config): string {
  return passkeyDomain.toLowerCase();
}

function allowedOrigins({ publicUrl, corsAllowedOrigins, passkeyOrigins }: Config): string[] {
  return [new URL(publicUrl).origin, ...corsAllowedOrigins, ...passkeyOrigins];
}

/** The usual mistake of a first installation, and the one that an operator can mend. */
function warnOfForeignOrigin({ config, log }: Pick<Services, "config" | "log">, clientDataJSON: string): void {
  try {
    const { origin } = JSON.parse(Buffer.from(clientDataJSON, "base64url").toString()) as { origin?: unknown };
    if (typeof origin !== "string" || allowedOrigins(config).includes(origin)) return;
    log.warn("a passkey came from an origin that is not in ENTRIES_PASSKEY_ORIGINS", { origin: origin.slice(0, 200) });
  } catch {
    // Not even client data; the check refuses it.
  }
}

/** Some signature, in the form that the library takes apart before it looks at the key. */
const ANY_SIGNATURE = Uint8Array.from([0x30, 6, 2, 1, 1, 2, 1, 1]);

/** A key that cannot be used must not become a factor. @throws an error of the library for bytes that are no key */
async function requireKey({ verifySignature }: Library, credentialPublicKey: Uint8Array<ArrayBuffer>): Promise<void> {
  await verifySignature({ signature: ANY_SIGNATURE, data: new Uint8Array(1), credentialPublicKey });
}

/**
 * We ask for no attestation, so whatever statement comes along proves nothing to us. It is dropped before the library
 * would verify its certificates, for which it might ask servers that a stranger names.
 */
function withoutStatement({ isoBase64URL, isoCBOR }: Library, text: string): string {
  const attestation = isoCBOR.decodeFirst<Map<string, Uint8Array>>(isoBase64URL.toBuffer(text));
  const bare = new Map<string, string | Uint8Array | Map<string, string>>();
  bare.set("fmt", "none").set("attStmt", new Map());
  bare.set("authData", attestation.get("authData") ?? new Uint8Array(0));
  return isoBase64URL.fromBuffer(isoCBOR.encode(bare));
}

/** Constant per account, and it does not tell the account's id. 32 bytes. */
function userHandle(key: Uint8Array, user_id: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(createHmac("sha256", key).update(user_id).digest());
}

function descriptorOf({ credential_id, transports }: KnownPasskey) {
  return { id: base64Url(credential_id), transports };
}

/** Without padding, as WebAuthn writes it. */
function base64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}
