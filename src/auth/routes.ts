import { randomUUID } from "node:crypto";
import { auth as queries, user as userQueries } from "../db/queries.ts";
import { EMAIL_QUERY, requireAddress, requireEmailParameter } from "../emailAddress.ts";
import { ApiError } from "../errors.ts";
import { isSecondFactor, openBySecondFactor, type SessionOpening } from "../factor/signIn.ts";
import { CSRF_COOKIE_LIFETIME_SECS, removeCookie, setCookie } from "../http/cookies.ts";
import { newCsrfToken } from "../http/csrf.ts";
import { type Context, endpoint } from "../http/endpoint.ts";
import { nowMicros, type Services } from "../services.ts";
import { createChallenge, takeChallenge } from "./challenge.ts";
import { guardGuess, wrongPassword } from "./guesses.ts";
import {
  AuthenticatedSession,
  CredentialPair,
  Otp,
  SigninNonceAndHashParams,
  SigninToken,
  TokenPair,
} from "./messages.ts";
import { OTP_DIGITS, otpHmac, sendAccountChangeOtp, sendSigninOtp, wrongOtp } from "./otp.ts";
import { endSession, issueTokens, refreshSession } from "./session.ts";
import { BROWSER_HEADER, giveSigninToken, issueSigninToken } from "./signinToken.ts";

const MICROS_PER_SEC = 1_000_000n;

export const authRoutes = [
  endpoint(
    {
      method: "GET",
      path: "/api/auth/csrf-token",
      summary: "Gives a browser the token that it must send back with every change. Always JSON.",
      limit: "light-auth",
      tokens: {},
      contentType: "application/json",
      contentSchema: {
        type: "object",
        properties: { csrf_token: { type: "string" } },
        required: ["csrf_token"],
      },
    },
    async ({ addCookies }) => {
      const csrf_token = newCsrfToken();
      addCookies(setCookie("x-csrf-token", csrf_token, CSRF_COOKIE_LIFETIME_SECS));
      return Response.json({ csrf_token });
    },
  ),

  endpoint(
    {
      method: "GET",
      path: "/api/auth/nonce-and-auth-string-params",
      summary:
        "A fresh sign-in nonce for an address, and how its client hashes the password. Same for unknown addresses.",
      limit: "read",
      tokens: {},
      response: SigninNonceAndHashParams,
      query: EMAIL_QUERY,
    },
    async ({ services, query }) => createChallenge(services, requireEmailParameter(query)),
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/auth/sign-in",
      summary: "Checks the password and mails a one-time passcode, unless an account with a second factor wants none.",
      limit: "expensive-auth",
      tokens: {},
      request: CredentialPair,
      response: SigninToken,
      headers: BROWSER_HEADER,
      errors: ["INCORRECTLY_FORMED", "INCORRECT_CREDENTIAL", "INCORRECT_NONCE", "TOO_MANY_ATTEMPTS", "TOKEN_EXPIRED"],
    },
    async (context) => {
      const { user_id, token_epoch, has_second_factor } = await checkPassword(context);
      const token = issueSigninToken(context.services, user_id, token_epoch);
      if (!context.body.without_otp_mail || !has_second_factor) {
        await sendSigninOtp(context.services, { user_id, epoch: token_epoch, mac: token.mac });
      }
      return giveSigninToken(context, token.text);
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/auth/otp/verify",
      summary:
        "Exchanges sign-in token and passcode, or a second factor, for a session and what a device needs to decrypt.",
      limit: "light-auth",
      tokens: { signIn: true },
      request: Otp,
      response: AuthenticatedSession,
      details: "With the sign-in token in a cookie the new tokens come in cookies too, and `tokens` is absent.",
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "TOO_MANY_ATTEMPTS"],
    },
    async ({ services, body, proofs: { signIn }, addCookies }) => {
      const session_id = randomUUID();
      const issued = issueTokens(services, signIn.user_id, session_id);
      const opening: SessionOpening = {
        user_id: signIn.user_id,
        epoch: signIn.epoch,
        token_signature: signIn.mac,
        token_expiration: BigInt(signIn.expirationSecs) * MICROS_PER_SEC,
        now: nowMicros(services),
        session_id,
        refresh_token_hash: issued.refresh_token_hash,
        session_expiration: issued.session_expiration,
      };
      const open = isSecondFactor(body) ? openBySecondFactor : openByPasscode;
      const session = await open(services, body, opening);
      if (!session) throw wrongOtp();
      if (!signIn.isFromCookie) return { ...session, tokens: { ...issued, server_time: nowMicros(services) } };
      addCookies(sessionCookies(services, issued));
      addCookies(removeCookie("x-signin-token"));
      return session;
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/auth/otp",
      summary: "Mails a passcode for a change of the account; the previous one is void.",
      limit: "light-auth",
      tokens: { user: true },
      errors: ["TOO_MANY_ATTEMPTS"],
    },
    async ({ services, proofs: { user } }) => {
      await sendAccountChangeOtp(services, user.user_id);
      return undefined;
    },
  ),

  endpoint(
    {
      method: "GET",
      path: "/api/auth/otp",
      summary: "The same as POST, for clients that know no other way and send their token in the header.",
      limit: "light-auth",
      tokens: { user: true },
      errors: [405, "TOO_MANY_ATTEMPTS"],
    },
    async ({ services, proofs: { user } }) => {
      // Any site can make a browser send a GET with its cookies (decision A8).
      if (user.isFromCookie) {
        const headers = { allow: "POST" };
        throw new ApiError("PREHANDLER", "With a token from a cookie this needs POST.", { status: 405, headers });
      }
      await sendAccountChangeOtp(services, user.user_id);
      return undefined;
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/auth/otp/resend-signin-otp",
      summary: "Mails another passcode for a sign-in; the previous one is void.",
      limit: "light-auth",
      tokens: { signIn: true },
      errors: ["TOO_MANY_ATTEMPTS"],
    },
    async ({ services, proofs: { signIn } }) => {
      await sendSigninOtp(services, signIn);
      return undefined;
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/auth/token/refresh",
      summary: "Exchanges a refresh token for the next pair of tokens. Each works once.",
      limit: "light-auth",
      tokens: { refresh: true },
      response: TokenPair,
      details: "With the refresh token in a cookie the new tokens come in cookies too, and the body is empty.",
    },
    async ({ services, proofs: { refresh }, addCookies }) => {
      const issued = await refreshSession(services, refresh);
      if (!refresh.isFromCookie) return { ...issued, server_time: nowMicros(services) };
      addCookies(sessionCookies(services, issued));
      return undefined;
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/auth/logout",
      summary: "Ends the session of the refresh token.",
      limit: "light-auth",
      tokens: { user: true, refresh: true },
      errors: ["CONFLICT_WITH_EXISTING"],
    },
    async ({ services, proofs: { user, refresh }, addCookies }) => {
      if (user.user_id !== refresh.user_id) {
        throw new ApiError("USER_DISALLOWED", "The two tokens belong to different users.");
      }
      await endSession(services, refresh);
      if (user.isFromCookie || refresh.isFromCookie) {
        addCookies(removeCookie("x-access-token"));
        addCookies(removeCookie("x-refresh-token"));
      }
      return undefined;
    },
  ),
];

/**
 * The sign-in check (decisions A1, A6, A16): an unknown address takes the same steps and the same work as a wrong
 * password.
 *
 * @throws ApiError INCORRECTLY_FORMED, TOO_MANY_ATTEMPTS, INCORRECT_NONCE, INCORRECT_CREDENTIAL, PREHANDLER 503
 */
async function checkPassword(
  context: Context<Record<never, never>, CredentialPair>,
): Promise<{ user_id: string; token_epoch: string; has_second_factor: boolean }> {
  const { services, body, clientAddress } = context;
  const { config, passwords } = services;
  const address = requireAddress("email", body.email);
  return guardGuess(services, address, clientAddress, async () => {
    const { challenge_was_valid, ...account } = await takeChallenge(services, address, body.nonce);
    if (!challenge_was_valid) {
      throw new ApiError("INCORRECT_NONCE", "The nonce is unknown, used or expired; fetch a new one.");
    }
    if (body.auth_string.length > config.authStringLengthMax) throw wrongPassword();
    const { user_id, token_epoch, auth_string_hash, has_second_factor } = account;
    const isRight = await passwords.verify(auth_string_hash ?? undefined, body.auth_string);
    if (!isRight || user_id === null || token_epoch === null || auth_string_hash === null) throw wrongPassword();
    if (passwords.isOutdated(auth_string_hash)) {
      await upgradeHash(services, user_id, auth_string_hash, body.auth_string);
    }
    return { user_id, token_epoch, has_second_factor };
  });
}

/** Exchanges sign-in token and mailed passcode for a session. @returns undefined when one of them is wrong or void */
async function openByPasscode(services: Services, { value }: Otp, opening: SessionOpening) {
  if (value.length > OTP_DIGITS) return undefined;
  const otp_hmac = otpHmac(services, "sign-in", opening.user_id, opening.token_signature, value);
  return queries.verify_otp(services.db, { ...opening, otp_hmac });
}

/** Rewrites a hash of the reference. Where the server has no time for it now, the next sign-in does it. */
async function upgradeHash(services: Services, user_id: string, previous_hash: string, secret: Uint8Array) {
  const { passwords, db, log } = services;
  const next_hash = await passwords.hash(secret).catch(() => undefined);
  if (next_hash === undefined) log.warn("a password hash was not upgraded", { reason: "too many passwords to check" });
  else await userQueries.upgrade_auth_string_hash(db, { user_id, previous_hash, next_hash });
}

function sessionCookies({ config }: Services, tokens: { access_token: string; refresh_token: string }): string[] {
  return [
    ...setCookie("x-access-token", tokens.access_token, config.accessTokenLifetimeMins * 60),
    ...setCookie("x-refresh-token", tokens.refresh_token, config.refreshTokenLifetimeDays * 86_400),
  ];
}
