/**
 * Who may act on an invitation: finds accept and invite-sender tokens, and verifies them with keys from the database.
 * An invitation is answered once, so neither tokens nor keys are remembered.
 */
import {
  decodeAcceptToken,
  decodeInviteSenderToken,
  incorrectContainerToken,
  verifyContainerToken,
} from "../crypto/containerTokens.ts";
import { invitation as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { ApiError } from "../errors.ts";
import type { Cookies } from "./cookies.ts";
import { findToken, passing } from "./tokenPlaces.ts";

/** An accept key that opens a container to whoever is invited. Statements check again that it exists. */
export interface AcceptAccess {
  invitation_id: string;
  accept_key_id: string;
  container_id: string;
}

/** The right of an invitation's sender. */
export interface InviteSenderAccess {
  invitation_id: string;
  /** Of the accept key that is to go with the invitation. */
  accept_key_id: string | undefined;
}

export interface InvitationAccess {
  /**
   * Decodes an accept token; the result verifies it.
   *
   * @param need "live" refuses accept keys whose time is up, before the signature is looked at (containers.md 5.3)
   */
  openAccept(need: "live" | "any", request: Request, cookies: Cookies): () => Promise<AcceptAccess>;
  /** Decodes an invite-sender token; the result verifies it. */
  openInviteSender(request: Request, cookies: Cookies): () => Promise<InviteSenderAccess>;
}

/** @param now milliseconds since the epoch */
export function createInvitationAccess({ db, now }: { db: Db; now: () => number }): InvitationAccess {
  const nowSecs = () => Math.floor(now() / 1000);

  return {
    openAccept(need, request, cookies) {
      const { texts } = findToken("x-container-accept-token", request, cookies);
      const candidates = passing(texts, (text) => decodeAcceptToken(text) ?? refuse());
      return async () => {
        const keys = await queries.accept_keys(db, {
          key_ids: candidates.map(({ accept_key_id }) => accept_key_id),
          container_ids: candidates.map(({ container_id }) => container_id),
        });
        const [{ invitation_id, accept_key_id, container_id }] = passing(candidates, (token) => {
          const key = keys.find((row) => row.key_id === token.accept_key_id && row.container_id === token.container_id);
          if (!key) throw invitationDoesNotExist();
          if (need === "live" && key.expiration < BigInt(now()) * 1000n) throw invitationIsOver();
          verifyContainerToken(token, key.public_key, nowSecs());
          return token;
        });
        return { invitation_id, accept_key_id, container_id };
      };
    },

    openInviteSender(request, cookies) {
      const { texts } = findToken("x-container-invite-sender-token", request, cookies);
      const candidates = passing(texts, (text) => decodeInviteSenderToken(text) ?? refuse());
      return async () => {
        const ids = candidates.map(({ invitation_id }) => invitation_id);
        const keys = await queries.sender_keys(db, { ids });
        const [{ invitation_id, accept_key_id }] = passing(candidates, (token) => {
          const key = keys.find(({ id }) => id === token.invitation_id);
          if (!key) throw invitationDoesNotExist();
          verifyContainerToken(token, key.sender_public_key, nowSecs());
          return token;
        });
        return { invitation_id, accept_key_id };
      };
    },
  };
}

function refuse(): never {
  throw incorrectContainerToken();
}

/** The same for an unknown, used, declined or retracted invitation, and for one of somebody else (containers.md 7). */
export function invitationDoesNotExist(): ApiError {
  return new ApiError("INVITATION_DOES_NOT_EXIST", "There is no such invitation.");
}

function invitationIsOver(): ApiError {
  return new ApiError("OUT_OF_DATE", "The time to accept this invitation is over.");
}
