/**
 * A passkey in software, with the browser around it (WebAuthn Level 3): it makes keys and signs challenges as JSON texts
 * say, and can be told to do it wrongly.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

type Cbor = number | string | Uint8Array | ReadonlyMap<number | string, Cbor>;

/** What a good browser and authenticator would not do. */
export interface Oddities {
  origin?: string;
  rpId?: string;
  type?: string;
  /** In place of the one of the options. */
  challenge?: string;
  signCount?: number;
  flags?: number;
  /** In place of the last part of the public key. */
  publicKeyPart?: Uint8Array;
  /** Another attestation than "none". */
  attestation?: { fmt: string; attStmt: ReadonlyMap<string, Cbor> };
}

export type Algorithm = "ES256" | "EdDSA" | "RS256";

const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;
const ATTESTED_DATA = 0x40;

interface Options {
  challenge: string;
  rp?: { id: string };
  rpId?: string;
  user?: { id: string };
}

export class Authenticator {
  readonly credentialId: Uint8Array = randomBytes(32);
  /** Counts its signatures, if it is an authenticator that counts. */
  signCount = 0;
  /** What the server told it about the account. */
  userHandle = "";
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;

  constructor(
    readonly origin: string,
    readonly algorithm: Algorithm = "ES256",
    readonly isCounting = true,
  ) {
    const { privateKey, publicKey } = makeKeys(algorithm);
    this.#privateKey = privateKey;
    this.#publicKey = publicKey;
  }

  get id(): string {
    return base64Url(this.credentialId);
  }

  /** Answers PublicKeyCredentialCreationOptionsJSON with a RegistrationResponseJSON. */
  register(optionsJson: string, odd: Oddities = {}): string {
    const options = JSON.parse(optionsJson) as Options;
    this.userHandle = options.user?.id ?? "";
    const { fmt, attStmt } = odd.attestation ?? { fmt: "none", attStmt: new Map() };
    const authData = Buffer.concat([
      this.#authenticatorData(odd.rpId ?? options.rp?.id ?? "", ATTESTED_DATA, odd),
      Buffer.alloc(16), // AAGUID
      uint16(this.credentialId.length),
      this.credentialId,
      encodeCbor(this.#coseKey(odd)),
    ]);
    const attestationObject = encodeCbor(
      new Map<string, Cbor>([
        ["fmt", fmt],
        ["attStmt", attStmt],
        ["authData", authData],
      ]),
    );
    return this.#credential({
      clientDataJSON: base64Url(this.#clientData("webauthn.create", options, odd)),
      attestationObject: base64Url(attestationObject),
      transports: ["internal", "hybrid", "from-the-future"],
    });
  }

  /** Answers PublicKeyCredentialRequestOptionsJSON with an AuthenticationResponseJSON. */
  assert(optionsJson: string, odd: Oddities = {}): string {
    const options = JSON.parse(optionsJson) as Options;
    if (this.isCounting) this.signCount++;
    const clientData = this.#clientData("webauthn.get", options, odd);
    const authData = this.#authenticatorData(odd.rpId ?? options.rpId ?? "", 0, odd);
    const signed = Buffer.concat([authData, sha256(clientData)]);
    const signature = sign(this.algorithm === "EdDSA" ? null : "sha256", signed, this.#privateKey);
    return this.#credential({
      clientDataJSON: base64Url(clientData),
      authenticatorData: base64Url(authData),
      signature: base64Url(signature),
      userHandle: this.userHandle,
    });
  }

  #coseKey({ publicKeyPart }: Oddities): ReadonlyMap<number, Cbor> {
    const key = coseKey(this.algorithm, this.#publicKey);
    return publicKeyPart ? new Map([...key, [-3, publicKeyPart]]) : key;
  }

  #credential(response: Record<string, unknown>): string {
    return JSON.stringify({
      id: this.id,
      rawId: this.id,
      type: "public-key",
      authenticatorAttachment: "platform",
      clientExtensionResults: { credProps: { rk: true } },
      response,
    });
  }

  #clientData(type: string, { challenge }: Options, odd: Oddities): Uint8Array {
    const said = {
      type: odd.type ?? type,
      challenge: odd.challenge ?? challenge,
      origin: odd.origin ?? this.origin,
      crossOrigin: false,
    };
    return Buffer.from(JSON.stringify(said));
  }

  #authenticatorData(rpId: string, flags: number, odd: Oddities): Uint8Array {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(odd.signCount ?? this.signCount);
    const allFlags = flags | (odd.flags ?? USER_PRESENT | USER_VERIFIED);
    return Buffer.concat([sha256(Buffer.from(rpId)), Buffer.of(allFlags), count]);
  }
}

function makeKeys(algorithm: Algorithm): { privateKey: KeyObject; publicKey: KeyObject } {
  if (algorithm === "EdDSA") return generateKeyPairSync("ed25519");
  if (algorithm === "RS256") return generateKeyPairSync("rsa", { modulusLength: 2048 });
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** RFC 9052 section 7, RFC 9053, RFC 8230. */
function coseKey(algorithm: Algorithm, publicKey: KeyObject): ReadonlyMap<number, Cbor> {
  const jwk = publicKey.export({ format: "jwk" });
  const part = (name: "x" | "y" | "n" | "e") => Buffer.from(jwk[name] ?? "", "base64url");
  if (algorithm === "EdDSA") {
    return new Map<number, Cbor>([
      [1, 1],
      [3, -8],
      [-1, 6],
      [-2, part("x")],
    ]);
  }
  if (algorithm === "RS256") {
    return new Map<number, Cbor>([
      [1, 3],
      [3, -257],
      [-1, part("n")],
      [-2, part("e")],
    ]);
  }
  return new Map<number, Cbor>([
    [1, 2],
    [3, -7],
    [-1, 1],
    [-2, part("x")],
    [-3, part("y")],
  ]);
}

/** RFC 8949, as much of it as authenticators need. */
export function encodeCbor(value: Cbor): Uint8Array {
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "string") return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  const pairs = [...value].flatMap(([key, item]) => [encodeCbor(key), encodeCbor(item)]);
  return Buffer.concat([head(5, value.size), ...pairs]);
}

function head(majorType: number, size: number): Uint8Array {
  if (size < 24) return Buffer.of((majorType << 5) | size);
  if (size < 256) return Buffer.of((majorType << 5) | 24, size);
  return Buffer.concat([Buffer.of((majorType << 5) | 25), uint16(size)]);
}

function uint16(value: number): Uint8Array {
  return Buffer.of(value >> 8, value & 0xff);
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

function base64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}
