import { accessTokensEnd, forgetSessions } from "../auth/session.ts";
import { expired } from "../crypto/userTokens.ts";
import { session as queries } from "../db/queries.ts";
import { ApiError } from "../errors.ts";
import type { PresentedToken } from "../http/access.ts";
import { endpoint } from "../http/endpoint.ts";
import { requireSizes } from "../http/sizes.ts";
import { nowMicros } from "../services.ts";
import { SessionId, SessionLabel, SessionList } from "./messages.ts";

const LABEL_BYTES_MAX = 1024;

export const sessionRoutes = [
  endpoint(
    {
      method: "GET",
      path: "/api/auth/session",
      summary: "Lists the caller's sessions that have not expired.",
      limit: "read",
      tokens: { user: true },
      response: SessionList,
    },
    async ({ services, proofs: { user } }) => {
      const now = nowMicros(services);
      const rows = await queries.list(services.db, { user_id: user.user_id, own_session_id: user.session_id, now });
      if (rows.length === 0) throw expired();
      const sessions = rows.flatMap(({ id, expiration, ...session }) =>
        id === null || expiration === null ? [] : [{ ...session, id, expiration }],
      );
      return { sessions };
    },
  ),

  endpoint(
    {
      method: "PUT",
      path: "/api/auth/session/label",
      summary: "Labels the caller's own session with a text that only the user's devices can read.",
      limit: "modify",
      tokens: { user: true },
      request: SessionLabel,
      errors: ["INPUT_TOO_LARGE", "INVALID_STATE"],
    },
    async ({ services, body, proofs: { user } }) => {
      requireSizes([["value", body.value, LABEL_BYTES_MAX]]);
      const { user_id } = user;
      const session_id = requireOwnSession(user);
      const labelled = await queries.set_label(services.db, { session_id, user_id, label_encrypted: body.value });
      if (labelled === 0) throw expired();
      return undefined;
    },
  ),

  endpoint(
    {
      method: "DELETE",
      path: "/api/auth/session",
      summary: "Ends one of the caller's sessions: its tokens are refused at once. Also when there is no such session.",
      limit: "modify",
      tokens: { user: true },
      request: SessionId,
    },
    async ({ services, body: { value: session_id }, proofs: { user } }) => {
      const { user_id } = user;
      const revoked_until = accessTokensEnd(services);
      const outcome = await queries.end(services.db, { session_id, user_id, revoked_until });
      if (!outcome) throw expired();
      if (outcome.was_ended) forgetSessions(services, [session_id]);
      return undefined;
    },
  ),

  endpoint(
    {
      method: "DELETE",
      path: "/api/auth/session/all-others",
      summary: "Ends every session of the caller but this one.",
      limit: "modify",
      tokens: { user: true },
      errors: ["INVALID_STATE"],
    },
    async ({ services, proofs: { user } }) => {
      const { user_id } = user;
      const own_session_id = requireOwnSession(user);
      const revoked_until = accessTokensEnd(services);
      const outcome = await queries.end_others(services.db, { user_id, own_session_id, revoked_until });
      if (!outcome) throw expired();
      forgetSessions(services, outcome.revoked_ids);
      return undefined;
    },
  ),
];

/** A token of the server before this one names no session. @throws ApiError INVALID_STATE */
function requireOwnSession({ session_id }: PresentedToken): string {
  if (session_id !== undefined) return session_id;
  throw new ApiError("INVALID_STATE", "This access token belongs to no session; refresh it first, which makes one.");
}
