import { setCookie } from "../http/cookies.ts";
import type { Context } from "../http/endpoint.ts";
import type { Services } from "../services.ts";
import type { SigninToken } from "./messages.ts";

/** How routes that give a sign-in token describe what browsers send. */
export const BROWSER_HEADER = {
  "x-client-is-browser": {
    description: "`true`: the token comes in the cookie x-signin-token, and the body is empty.",
  },
} as const;

/**
 * Makes a sign-in token; its MAC is what passcodes are bound to.
 *
 * @param epoch the account's `token_epoch`: when that changes, the token is void
 */
export function issueSigninToken(
  { tokens, config, now }: Services,
  user_id: string,
  epoch: string,
): { text: string; mac: Uint8Array } {
  const expirationSecs = Math.floor(now() / 1000) + config.signinTokenLifetimeMins * 60;
  return tokens.issue({ type: "SignIn", user_id, bound_to: epoch, expirationSecs });
}

/** Browsers get the token as a cookie and an empty body (accounts.md 3.1). */
export function giveSigninToken(
  context: Pick<Context<Record<never, never>, unknown>, "services" | "isBrowser" | "addCookies">,
  token: string,
): SigninToken | undefined {
  if (!context.isBrowser) return { value: token };
  context.addCookies(setCookie("x-signin-token", token, context.services.config.signinTokenLifetimeMins * 60));
  return undefined;
}
