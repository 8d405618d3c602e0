import { setImmediate as nextTurn } from "node:timers/promises";
import { takeLinkMail } from "../auth/otp.ts";
import type { Config } from "../config.ts";
import { ContainerAccessTokenList } from "../container/messages.ts";
import type { ContainerToken } from "../crypto/containerTokens.ts";
import { ApiError } from "../errors.ts";
import type { ContainerAccess } from "../http/access.ts";
import { endpoint } from "../http/endpoint.ts";
import { containerTokensBodyBytesMax } from "../http/sizes.ts";
import { deletionLetter } from "../mail/accountLetters.ts";
import { nowMicros, type Services } from "../services.ts";
import { cancelDeletion, isScheduled, listKeys } from "./dao.ts";
import { IsUserListedForDeletion, VerificationEmailSent } from "./messages.ts";
import { deletionPages } from "./pages.ts";

const MICROS_PER_SEC = 1_000_000n;
const MICROS_PER_DAY = 86_400_000_000n;
/** Tokens of a long list that are read before others get their turn: about 3 ms. */
const TOKENS_PER_TURN = 500;

export const deletionRoutes = [
  endpoint(
    {
      method: "DELETE",
      path: "/api/user",
      summary:
        "Mails the link that confirms the deletion of the account, with the keys of the containers that it lists.",
      limit: "light-auth",
      tokens: { user: true },
      request: ContainerAccessTokenList,
      response: VerificationEmailSent,
      bodyBytesMax: containerTokensBodyBytesMax,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "CONTAINER_DOES_NOT_EXIST", "TOO_MANY_ATTEMPTS"],
    },
    async ({ services, body, proofs: { user } }) => {
      const { userDeletionTokenLifetimeDays: lifetimeDays, userDeletionDelayDays: delayDays } = services.config;
      const keys = await requireGoodTokens(services, body.tokens);
      await takeLinkMail(services, "deletion-link", user.user_id);
      const now = nowMicros(services);
      const linkExpiration = now + BigInt(lifetimeDays) * MICROS_PER_DAY;
      // Not before the link's end, also without any delay: whoever confirms in time finds the keys (accounts.md C14).
      const delete_me_time = linkExpiration + BigInt(delayDays) * MICROS_PER_DAY;
      const account = await listKeys(services.db, user.user_id, keys, delete_me_time);
      mailDeletionLink(services, { ...account, user_id: user.user_id, linkExpiration });
      return { email_sent: true, email_token_lifetime_hours: BigInt(lifetimeDays * 24) };
    },
  ),

  endpoint(
    {
      method: "GET",
      path: "/api/user/deletion",
      summary: "Tells whether the deletion of the account is scheduled.",
      limit: "read",
      tokens: { user: true },
      response: IsUserListedForDeletion,
    },
    async ({ services, proofs: { user } }) => ({ value: await isScheduled(services.db, user.user_id) }),
  ),

  endpoint(
    {
      method: "DELETE",
      path: "/api/user/deletion",
      summary: "Cancels the deletion of the account and voids the links that were mailed.",
      limit: "modify",
      tokens: { user: true },
    },
    async ({ services, proofs: { user } }) => {
      await cancelDeletion(services.db, user.user_id);
      return undefined;
    },
  ),

  ...deletionPages,
];

/** @throws ApiError INPUT_TOO_LARGE, INCORRECTLY_FORMED, CONTAINER_DOES_NOT_EXIST, INCORRECT_CREDENTIAL, TOKEN_EXPIRED */
async function requireGoodTokens({ config, access }: Services, texts: readonly string[]): Promise<ContainerAccess[]> {
  const countMax = config.containersMax;
  if (texts.length > countMax) {
    throw new ApiError("INPUT_TOO_LARGE", `tokens has ${texts.length} items; at most ${countMax} are allowed.`);
  }
  const tokens: ContainerToken[] = [];
  for (const text of texts) {
    const token = access.decodeContainerToken(text);
    if (!token) throw new ApiError("INCORRECTLY_FORMED", "tokens holds an item that is no container token.");
    tokens.push(token);
    if (tokens.length % TOKENS_PER_TURN === 0) await nextTurn();
  }
  return access.verifyContainerTokens(tokens);
}

/** @throws ApiError PREHANDLER 503 when the mail queue is full; asking again is fine */
function mailDeletionLink(
  { config, tokens, mailer }: Services,
  account: { user_id: string; email: string; token_epoch: string; linkExpiration: bigint },
): void {
  const { user_id, email, token_epoch, linkExpiration } = account;
  const expirationSecs = Number(linkExpiration / MICROS_PER_SEC);
  const { text } = tokens.issue({ type: "UserDeletion", user_id, bound_to: token_epoch, expirationSecs });
  const lifetime_days = config.userDeletionTokenLifetimeDays;
  mailer.send(deletionLetter({ to: email, link: linkWith(text, config), lifetime_days }));
}

function linkWith(token: string, { userDeletionUrl, publicUrl }: Config): string {
  return `${userDeletionUrl ?? `${publicUrl}/account/deletion`}?token=${encodeURIComponent(token)}`;
}
