/** What second factors say on the wire: authenticator apps (TOTP), passkeys, and recovery codes for when both are lost. */
import { bool, bytes, int32, list, optional, string, strings, uuid } from "../wire/field.ts";
import { defineMessage, type MessageType } from "../wire/message.ts";

/** What a sign-in can be finished with beside a mailed passcode. */
export const SecondFactorOffer = defineMessage("SecondFactorOffer", {
  totp: bool(1),
  passkey: bool(2),
  recovery_codes_left: int32(3),
});
export type SecondFactorOffer = MessageType<typeof SecondFactorOffer>;

/** `kind` is "totp" or "passkey". */
export const SecondFactor = defineMessage("SecondFactor", {
  id: uuid(1),
  kind: string(2),
  label_encrypted: optional(bytes(3)),
});
export type SecondFactor = MessageType<typeof SecondFactor>;

export const SecondFactorList = defineMessage("SecondFactorList", {
  factors: list(1, SecondFactor),
  recovery_codes_left: int32(2),
});
export type SecondFactorList = MessageType<typeof SecondFactorList>;

export const PasswordProof = defineMessage("PasswordProof", {
  auth_string: bytes(1),
});
export type PasswordProof = MessageType<typeof PasswordProof>;

/** `secret` has 20 bytes; `uri` holds the same for an authenticator app, as `otpauth://totp/…`. */
export const TotpEnrolment = defineMessage("TotpEnrolment", {
  id: uuid(1),
  secret: bytes(2),
  uri: string(3),
});
export type TotpEnrolment = MessageType<typeof TotpEnrolment>;

export const TotpCode = defineMessage("TotpCode", {
  value: string(1),
});
export type TotpCode = MessageType<typeof TotpCode>;

/** The only time that the codes are shown; empty where the account has codes already. */
export const RecoveryCodes = defineMessage("RecoveryCodes", {
  codes: strings(1),
});
export type RecoveryCodes = MessageType<typeof RecoveryCodes>;

/** The JSON text of WebAuthn's PublicKeyCredentialCreationOptionsJSON or PublicKeyCredentialRequestOptionsJSON. */
export const PasskeyOptions = defineMessage("PasskeyOptions", {
  json: string(1),
});
export type PasskeyOptions = MessageType<typeof PasskeyOptions>;

/** `json` is the JSON text of WebAuthn's RegistrationResponseJSON. */
export const PasskeyRegistration = defineMessage("PasskeyRegistration", {
  json: string(1),
  label_encrypted: optional(bytes(2)),
});
export type PasskeyRegistration = MessageType<typeof PasskeyRegistration>;

export const SecondFactorRemoval = defineMessage("SecondFactorRemoval", {
  id: uuid(1),
  auth_string: bytes(2),
});
export type SecondFactorRemoval = MessageType<typeof SecondFactorRemoval>;
