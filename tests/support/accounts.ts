/** What the tests of accounts need beside the client: half-made accounts, tokens of the reference, tokens from inside. */
import { createHmac } from "node:crypto";
import { encodeBase64Url } from "../../src/crypto/base64url.ts";
import type { TokenType } from "../../src/crypto/userTokens.ts";
import type { NewUser } from "../../src/user/messages.ts";
import { type Answer, type Client, Device, newUser, Refused } from "./client.ts";
import type { TestServer } from "./server.ts";

/** The value of an answer that a story needed to succeed. @throws Refused */
export function granted<Reply>({ status, value, error }: Answer<Reply>): Reply {
  if (value === undefined) throw new Refused("a step of the story", status, error?.err_type, error?.err_message);
  return value;
}

export interface UnverifiedAccount {
  user: NewUser;
  /** Of the creation. */
  signinToken: string;
  otp: string;
}

/** A new account whose passcode is not yet used. */
export async function createUnverified(
  server: TestServer,
  overrides: Partial<NewUser> = {},
): Promise<UnverifiedAccount> {
  const user = newUser(overrides);
  const signinToken = granted(await server.client().createUser(user)).value;
  return { user, signinToken, otp: server.otpFor(user.email.toLowerCase()) };
}

/** A right password, up to the passcode. */
export async function signInAgain(
  server: TestServer,
  { email, auth_string }: NewUser,
): Promise<{ signinToken: string; otp: string }> {
  const signinToken = granted(await server.client().signIn(email, auth_string)).value;
  return { signinToken, otp: server.otpFor(email.toLowerCase()) };
}

/** Another device of the same user, with a session of its own. */
export async function secondDevice(server: TestServer, { client, user }: Device & { user: NewUser }): Promise<Device> {
  const { signinToken, otp } = await signInAgain(server, user);
  const { tokens } = granted(await client.verifyOtp(signinToken, otp));
  return new Device(client, tokens?.access_token ?? "", tokens?.refresh_token ?? "");
}

/** The device after it has exchanged its refresh token. */
export async function refreshed({ client, refreshToken }: Device): Promise<Device> {
  const pair = granted(await client.refresh(refreshToken));
  return new Device(client, pair.access_token, pair.refresh_token);
}

/** The rows of a user's sessions. */
export async function sessionsOf({ db }: TestServer, { email }: NewUser) {
  const rows = await db`
    select sessions.* from sessions join users on users.id = user_id where email = ${email}`;
  return [...rows];
}

/** The first passcode that is not the right one. */
export function wrong(otp: string): string {
  return otp === "00000000" ? "00000001" : "00000000";
}

export async function userIdOf({ db }: TestServer, { email }: NewUser): Promise<string> {
  const [row] = await db`select id from users where email = ${email.toLowerCase()}`;
  if (!row) throw new Error("no account has this address");
  return row.id;
}

/** A token as the reference issued it: user id and address in clear (accounts.md 2.1). */
export function referenceToken(
  { services }: TestServer,
  type: TokenType,
  { user_id, email, lifetimeSecs = 3600 }: { user_id: string; email: string; lifetimeSecs?: number },
): string {
  const exp = Math.floor(services.now() / 1000) + lifetimeSecs;
  const claims = Buffer.from(JSON.stringify({ uid: user_id, eml: email, exp, typ: type }));
  const mac = createHmac("sha256", services.config.tokenSigningKey ?? "")
    .update(claims)
    .digest();
  return encodeBase64Url(Buffer.concat([claims, mac]));
}

/** The part of a token that everybody can read. */
export function claimsTextOf(token: string): string {
  return Buffer.from(token, "base64url").subarray(0, -32).toString("latin1");
}

/** The same token with one bit of its signature changed. */
export function tampered(token: string): string {
  const bytes = Buffer.from(token, "base64url");
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return encodeBase64Url(bytes);
}

/** What a route that wants an access token says to this one: accepted, or the error's name. */
export async function verdictOn(client: Client, accessToken: string): Promise<string> {
  // A GET without container tokens checks the access token, then misses them.
  const answer = await client.call("GET", "/api/container", { headers: { "x-access-token": accessToken } });
  return answer.error?.err_type === "TOKEN_MISSING" ? "accepted" : (answer.error?.err_type ?? String(answer.status));
}

/** How many of several answers had each status, for requests that were sent at once. */
export function countByStatus(answers: readonly Answer<unknown>[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, error } of answers) {
    const key = error ? `${status} ${error.err_type}` : String(status);
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}
