/** Accounts with second factors: calls of their routes, an authenticator app, and sign-ins up to the factor. */
import { createHmac } from "node:crypto";
import { AuthenticatedSession, CredentialPair, Otp, SigninToken } from "../../src/auth/messages.ts";
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
} from "../../src/factor/messages.ts";
import type { NewUser } from "../../src/user/messages.ts";
import { granted } from "./accounts.ts";
import { Authenticator } from "./authenticator.ts";
import type { Answer, Client, Device } from "./client.ts";
import type { TestServer } from "./server.ts";

/** A signed-in device and the account that it belongs to. */
export type Owner = Device & { user: NewUser };

/** For servers of these tests: where they are, and that nothing but second factors is limited. */
export const ORIGIN = "https://entries.example.org";
export const FACTOR_ENVIRONMENT = {
  ENTRIES_PUBLIC_URL: `${ORIGIN}/app`,
  ENTRIES_PASSKEY_DOMAIN: "entries.Example.org",
  ENTRIES_CORS_ALLOWED_ORIGINS: "https://web.entries.example.org",
  ENTRIES_PASSKEY_ORIGINS: "android:apk-key-hash:7d1043473d55bfa90e8530d35801d4e381bc69f0",
  ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000",
};

export const TOTP_PERIOD_MS = 30_000;
const ROUTE = "/api/user/second-factor";

/** The routes of a signed-in account. */
export function factorsOf({ client, accessToken }: Device, headers = { "x-access-token": accessToken }) {
  return {
    list: () => client.call("GET", ROUTE, { response: SecondFactorList, headers }),
    beginTotp: (auth_string: Uint8Array) =>
      client.call("POST", `${ROUTE}/totp`, {
        request: [PasswordProof, { auth_string }],
        response: TotpEnrolment,
        headers,
      }),
    confirmTotp: (value: string) =>
      client.call("POST", `${ROUTE}/totp/confirm`, {
        request: [TotpCode, { value }],
        response: RecoveryCodes,
        headers,
      }),
    beginPasskey: (auth_string: Uint8Array) =>
      client.call("POST", `${ROUTE}/passkey`, {
        request: [PasswordProof, { auth_string }],
        response: PasskeyOptions,
        headers,
      }),
    addPasskey: (json: string, label_encrypted?: Uint8Array) =>
      client.call("POST", `${ROUTE}/passkey/confirm`, {
        request: [PasskeyRegistration, label_encrypted ? { json, label_encrypted } : { json }],
        response: RecoveryCodes,
        headers,
      }),
    renewCodes: (auth_string: Uint8Array) =>
      client.call("POST", `${ROUTE}/recovery-codes`, {
        request: [PasswordProof, { auth_string }],
        response: RecoveryCodes,
        headers,
      }),
    remove: (id: string, auth_string: Uint8Array) =>
      client.call("DELETE", ROUTE, { request: [SecondFactorRemoval, { id, auth_string }], headers }),
  };
}

/** Exchanges sign-in token and passcode or factor for a session. */
export function verify(
  client: Client,
  signinToken: string,
  proof: Partial<Otp>,
  headers: Record<string, string> = { "x-signin-token": signinToken },
): Promise<Answer<AuthenticatedSession>> {
  return client.call("POST", "/api/auth/otp/verify", {
    request: [Otp, { value: "", ...proof }],
    response: AuthenticatedSession,
    headers,
  });
}

/** What the sign-in can be finished with. */
export function offerOf(client: Client, signinToken: string): Promise<Answer<SecondFactorOffer>> {
  return client.call("GET", "/api/auth/otp/second-factors", {
    response: SecondFactorOffer,
    headers: { "x-signin-token": signinToken },
  });
}

/** What a browser asks a passkey with. */
export function passkeyOptions(
  client: Client,
  signinToken: string,
  headers: Record<string, string> = { "x-signin-token": signinToken },
): Promise<Answer<PasskeyOptions>> {
  return client.call("POST", "/api/auth/otp/passkey-options", { response: PasskeyOptions, headers });
}

/** A right password; no passcode is mailed. @returns the sign-in token */
export async function signInQuietly({ client, user }: Owner): Promise<string> {
  const { nonce } = granted(await client.nonce(user.email));
  const { email, auth_string } = user;
  const answer = await client.call("POST", "/api/auth/sign-in", {
    request: [CredentialPair, { email, auth_string, nonce, without_otp_mail: true }],
    response: SigninToken,
  });
  return granted(answer).value;
}

/** Sets an authenticator app up. Its first code is used by that: the next one works half a minute later. */
export async function enrolTotp(server: TestServer, owner: Owner) {
  const factors = factorsOf(owner);
  const { id, secret } = granted(await factors.beginTotp(owner.user.auth_string));
  const { codes } = granted(await factors.confirmTotp(totpCode(secret, server.services.now())));
  return { id, secret, codes };
}

/** Makes a passkey for the account. */
export async function enrolPasskey(owner: Owner, authenticator = new Authenticator(ORIGIN)) {
  const factors = factorsOf(owner);
  const { json } = granted(await factors.beginPasskey(owner.user.auth_string));
  const { codes } = granted(await factors.addPasskey(authenticator.register(json)));
  return { authenticator, codes };
}

/** Waits until the app shows a code that was not there before, and reads it. */
export function nextTotpCode({ clock, services }: TestServer, secret: Uint8Array): string {
  clock.aheadMs += TOTP_PERIOD_MS;
  return totpCode(secret, services.now());
}

/** The code of an authenticator app at a time, written anew from RFC 4226 and RFC 6238. */
export function totpCode(secret: Uint8Array, nowMs: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(nowMs / TOTP_PERIOD_MS)));
  const hash = createHmac("sha1", secret).update(counter).digest();
  const offset = (hash.at(-1) ?? 0) & 0x0f;
  const number = (hash.readUInt32BE(offset) & 0x7fffffff) % 1_000_000;
  return String(number).padStart(6, "0");
}

/** Six digits that the app does not show around now. */
export function wrongTotpCode({ services }: TestServer, secret: Uint8Array): string {
  const near = [-2, -1, 0, 1, 2].map((steps) => totpCode(secret, services.now() + steps * TOTP_PERIOD_MS));
  return (
    Array.from({ length: near.length + 1 }, (_, index) => `00000${index}`).find((code) => !near.includes(code)) ?? ""
  );
}

/** The subjects of the mails to an address, oldest first, without the app's name at their end. */
export function subjectsTo({ letters }: TestServer, email: string): string[] {
  return letters.filter(({ to }) => to === email).map(({ subject }) => subject.replace(/ \(Entries App\)$/, ""));
}
