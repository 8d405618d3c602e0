import { randomBytes } from "node:crypto";
import { expired } from "../crypto/userTokens.ts";
import { factor as queries } from "../db/queries.ts";
import { type Context, endpoint } from "../http/endpoint.ts";
import { requireSizes } from "../http/sizes.ts";
import {
  addPasskey,
  beginPasskey,
  beginTotp,
  confirmTotp,
  putPasskeyChallenge,
  removeFactor,
  renewRecoveryCodes,
  requireOwner,
} from "./enrolment.ts";
import {
  PasskeyOptions,
  PasskeyRegistration,
  PasswordProof,
  RecoveryCodes,
  SecondFactorList,
  SecondFactorOffer,
  SecondFactorRemoval,
  TotpCode,
  TotpEnrolment,
} from "./messages.ts";
import { PASSKEY_CHALLENGE_BYTES, signInOptions } from "./passkeys.ts";

/** As the table holds it. */
const LABEL_BYTES_MAX = 1024;

export const factorRoutes = [
  endpoint(
    {
      method: "GET",
      path: "/api/auth/otp/second-factors",
      summary: "What the sign-in can be finished with, beside a mailed passcode.",
      limit: "read",
      tokens: { signIn: true },
      response: SecondFactorOffer,
    },
    async ({ services, proofs: { signIn } }) => {
      const { user_id, epoch, mac: token_signature } = signIn;
      const offer = await queries.offer(services.db, { user_id, epoch, token_signature });
      if (!offer) throw expired();
      return offer;
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/auth/otp/passkey-options",
      summary: "What a browser asks a passkey with. They work once, for this sign-in and five minutes.",
      limit: "light-auth",
      tokens: { signIn: true },
      response: PasskeyOptions,
    },
    async ({ services, proofs: { signIn } }) => {
      const { user_id, epoch, mac: binding } = signIn;
      const challenge = randomBytes(PASSKEY_CHALLENGE_BYTES);
      const stored = { user_id, epoch, purpose: "sign-in", binding, challenge } as const;
      const { passkeys } = await putPasskeyChallenge(services, stored);
      return { json: await signInOptions(services.config, passkeys, challenge) };
    },
  ),

  endpoint(
    {
      method: "GET",
      path: "/api/user/second-factor",
      summary: "Lists the account's second factors, and how many recovery codes are left.",
      limit: "read",
      tokens: { user: true },
      response: SecondFactorList,
    },
    async ({ services, proofs: { user } }) => {
      const rows = await queries.list(services.db, { user_id: user.user_id });
      const [first] = rows;
      if (!first) throw expired();
      const factors = rows.flatMap(({ id, kind, label_encrypted }) =>
        id === null || kind === null ? [] : [{ id, kind, label_encrypted }],
      );
      return { factors, recovery_codes_left: first.recovery_codes_left };
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/user/second-factor/totp",
      summary: "Makes the secret for an authenticator app. It is of use once a code of it was confirmed.",
      limit: "expensive-auth",
      tokens: { user: true },
      request: PasswordProof,
      response: TotpEnrolment,
      status: 201,
      errors: ["CONFLICT_WITH_EXISTING", "TOO_MANY_ATTEMPTS", "TOO_MANY_REQUESTED"],
    },
    async (context) => {
      const { user_id, email } = await requirePasswordOf(context);
      return beginTotp(context.services, user_id, email);
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/user/second-factor/totp/confirm",
      summary: "Confirms the authenticator app with its first code; gives recovery codes with the first second factor.",
      limit: "light-auth",
      tokens: { user: true },
      request: TotpCode,
      response: RecoveryCodes,
      errors: ["INVALID_STATE", "TOO_MANY_ATTEMPTS", "TOO_MANY_REQUESTED"],
    },
    async ({ services, body, proofs: { user } }) => ({ codes: await confirmTotp(services, user.user_id, body.value) }),
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/user/second-factor/passkey",
      summary: "What a browser makes a passkey with. They work once, in this session and for five minutes.",
      limit: "expensive-auth",
      tokens: { user: true },
      request: PasswordProof,
      response: PasskeyOptions,
      errors: ["TOO_MANY_ATTEMPTS", "TOO_MANY_REQUESTED"],
    },
    async (context) => {
      await requirePasswordOf(context);
      return { json: await beginPasskey(context.services, context.proofs.user) };
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/user/second-factor/passkey/confirm",
      summary: "Adds the passkey that was made; gives recovery codes with the first second factor.",
      limit: "light-auth",
      tokens: { user: true },
      request: PasskeyRegistration,
      response: RecoveryCodes,
      status: 201,
      errors: [
        "INCORRECTLY_FORMED",
        "INPUT_TOO_LARGE",
        "INVALID_STATE",
        "CONFLICT_WITH_EXISTING",
        "TOO_MANY_REQUESTED",
      ],
    },
    async ({ services, body, proofs: { user } }) => {
      const { json, label_encrypted } = body;
      if (label_encrypted) requireSizes([["label_encrypted", label_encrypted, LABEL_BYTES_MAX]]);
      return { codes: await addPasskey(services, user, json, label_encrypted) };
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/user/second-factor/recovery-codes",
      summary: "Makes ten new recovery codes; those that were left are void.",
      limit: "expensive-auth",
      tokens: { user: true },
      request: PasswordProof,
      response: RecoveryCodes,
      errors: ["INVALID_STATE", "TOO_MANY_ATTEMPTS"],
    },
    async (context) => {
      const { services } = context;
      services.mailer.requireRoom();
      const { user_id, email } = await requirePasswordOf(context);
      return { codes: await renewRecoveryCodes(services, user_id, email) };
    },
  ),

  endpoint(
    {
      method: "DELETE",
      path: "/api/user/second-factor",
      summary: "Removes a second factor; with the last one go the recovery codes.",
      limit: "expensive-auth",
      tokens: { user: true },
      request: SecondFactorRemoval,
      errors: ["KEY_DOES_NOT_EXIST", "TOO_MANY_ATTEMPTS"],
    },
    async (context) => {
      const { services, body } = context;
      services.mailer.requireRoom();
      const { user_id } = await requirePasswordOf(context);
      await removeFactor(services, user_id, body.id);
      return undefined;
    },
  ),
];

/** @throws ApiError TOKEN_EXPIRED when the account is gone, and as requirePassword */
async function requirePasswordOf({
  services,
  body,
  clientAddress,
  proofs,
}: Context<{ user: true }, PasswordProof>): Promise<{ user_id: string; email: string }> {
  const { user_id } = proofs.user;
  const { email } = await requireOwner(services, user_id, body.auth_string, clientAddress);
  return { user_id, email };
}
