/** The JSON texts in which a client hands on what its authenticator answered (WebAuthn Level 3, section 5.1). */
import Type, { type Static, type TSchema } from "typebox";
import { ApiError } from "../errors.ts";
import { lazyCheck } from "../wire/kind.ts";

/** Of one answer, in characters: several times what any authenticator sends. */
const TEXT_MAX = 16_384;
/** As the table holds it; WebAuthn allows no more. */
const CREDENTIAL_ID_BYTES_MAX = 1023;

const base64Url = Type.String({ pattern: "^[A-Za-z0-9_-]+$" });

const Registration = Type.Object({
  id: base64Url,
  rawId: base64Url,
  type: Type.Literal("public-key"),
  response: Type.Object({
    clientDataJSON: base64Url,
    attestationObject: base64Url,
    transports: Type.Optional(Type.Array(Type.String())),
  }),
});
export type Registration = Static<typeof Registration>;

const Assertion = Type.Object({
  id: base64Url,
  rawId: base64Url,
  type: Type.Literal("public-key"),
  response: Type.Object({ clientDataJSON: base64Url, authenticatorData: base64Url, signature: base64Url }),
});
export type Assertion = Static<typeof Assertion>;

/** @throws ApiError INPUT_TOO_LARGE, INCORRECTLY_FORMED */
export const parseRegistration: (text: string) => Registration = parserOf(Registration, "RegistrationResponseJSON");

/** @throws ApiError INPUT_TOO_LARGE, INCORRECTLY_FORMED */
export const parseAssertion: (text: string) => Assertion = parserOf(Assertion, "AuthenticationResponseJSON");

/** The id that the authenticator gave the passkey, 1 to 1023 bytes. */
export function credentialIdOf({ id }: { id: string }): Uint8Array {
  return Buffer.from(id, "base64url");
}

/** Members that are not named are let through: browsers add new ones. */
function parserOf<Schema extends TSchema>(schema: Schema, name: string): (text: string) => Static<Schema> {
  const accepts = lazyCheck(() => schema);
  return (text) => {
    if (text.length > TEXT_MAX) {
      throw new ApiError("INPUT_TOO_LARGE", `The passkey's answer may have ${TEXT_MAX} characters.`);
    }
    const json = parseJson(text);
    if (!accepts(json) || credentialIdOf(json as { id: string }).length > CREDENTIAL_ID_BYTES_MAX) {
      throw new ApiError("INCORRECTLY_FORMED", `The passkey's answer must be WebAuthn's ${name} as JSON text.`);
    }
    return json as Static<Schema>;
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
