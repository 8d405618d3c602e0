/**
 * Who may come in: finds the tokens of a request, verifies them, and answers with what they prove.
 * Each token passes two stages: it is decoded before the body is read, and verified after (accounts.md 1.3); only the
 * access token is verified at once.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  type ContainerToken,
  decodeContainerToken,
  incorrectContainerToken,
  requireUnexpired,
  verifyContainerToken,
} from "../crypto/containerTokens.ts";
import {
  type DecodedUserToken,
  expired,
  type TokenType,
  type UserToken,
  type UserTokens,
} from "../crypto/userTokens.ts";
import { containerDoesNotExist, readOnlyAccess } from "../db/containerChange.ts";
import { container as containerQueries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { ApiError } from "../errors.ts";
import { BoundedCache } from "./boundedCache.ts";
import type { Cookies } from "./cookies.ts";
import { type AcceptAccess, createInvitationAccess, type InviteSenderAccess } from "./invitationAccess.ts";
import type { RevokedSessions } from "./revokedSessions.ts";
import { findToken, passing } from "./tokenPlaces.ts";

/** The tokens that a route can ask for, checked in this order. */
export interface TokenNeeds {
  /** An access token: a signed-in user. */
  user?: true;
  /** An access token that may be missing: one that is expired or not valid counts as missing. */
  userIfSent?: true;
  signIn?: true;
  refresh?: true;
  /** A container access token; "write" refuses read-only keys. */
  container?: "read" | "write";
  /** A container accept token; "live" refuses accept keys whose time is up. */
  accept?: "live" | "any";
  inviteSender?: true;
}

/** What a route gets for each token that it asked for. */
export interface Proofs {
  user: PresentedToken;
  userIfSent: PresentedToken | undefined;
  signIn: PresentedToken;
  refresh: PresentedToken;
  container: ContainerAccess;
  accept: AcceptAccess;
  inviteSender: InviteSenderAccess;
}

export type ProofsOf<Needs extends TokenNeeds> = Pick<Proofs, keyof Needs & keyof Proofs>;

export interface PresentedToken extends UserToken {
  /** Whether the token came in a cookie: then the answer's tokens go into cookies too (accounts.md 3.1). */
  isFromCookie: boolean;
}

/** A key that opens a container. Statements check again that it exists and, where they change something, may write. */
export interface ContainerAccess {
  key_id: string;
  container_id: string;
}

export interface OpenedTokens<Needs extends TokenNeeds> {
  /** The account that the access token is of. */
  user_id: string | undefined;
  /** Verifies the rest. */
  finish(): Promise<ProofsOf<Needs>>;
}

export interface Access {
  /** Decodes every token that is needed, and verifies the access token. */
  open<Needs extends TokenNeeds>(needs: Needs, request: Request, cookies: Cookies): OpenedTokens<Needs>;
  /** Takes a container token apart, at once when it was verified before; undefined when the text is none. */
  decodeContainerToken(text: string): ContainerToken | undefined;
  /**
   * Verifies a list of container tokens: every pair of key and container must exist, then every signature must be good
   * and unexpired (decision W3).
   *
   * @throws ApiError CONTAINER_DOES_NOT_EXIST, INCORRECT_CREDENTIAL, TOKEN_EXPIRED
   */
  verifyContainerTokens(tokens: readonly ContainerToken[]): Promise<ContainerAccess[]>;
}

export interface AccessServices {
  db: Db;
  tokens: UserTokens;
  revokedSessions: RevokedSessions;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** A client reuses its tokens; about 1 KB each. */
const CACHED_TOKENS_MAX = 10_000;
const CACHED_KEYS_MAX = 50_000;
/** Signatures of a long list that are verified before others get their turn: about 3 ms. */
const SIGNATURES_PER_TURN = 50;

const HEADERS = {
  user: "x-access-token",
  signIn: "x-signin-token",
  refresh: "x-refresh-token",
  container: "x-container-access-token",
} as const;
const TOKEN_TYPE_OF = { user: "Access", signIn: "SignIn", refresh: "Refresh" } as const satisfies Record<
  string,
  TokenType
>;

/** The checks of one process, with its caches of verified tokens and container keys. */
export function createAccess({ db, tokens, revokedSessions, now }: AccessServices): Access {
  const verifiedAccessTokens = new BoundedCache<UserToken>(CACHED_TOKENS_MAX);
  const verifiedContainerTokens = new BoundedCache<ContainerToken>(CACHED_TOKENS_MAX);
  const containerKeys = new BoundedCache<{ public_key: Uint8Array; read_only: boolean }>(CACHED_KEYS_MAX);
  const invitationAccess = createInvitationAccess({ db, now });
  const nowSecs = () => Math.floor(now() / 1000);

  /** Decodes each place's candidates; verification takes the first that passes (decision P7). */
  function openUserToken(kind: keyof typeof TOKEN_TYPE_OF, request: Request, cookies: Cookies): () => PresentedToken {
    const { texts, isFromCookie } = findToken(HEADERS[kind], request, cookies);
    if (kind === "user" && texts.length === 1) {
      const known = verifiedAccessTokens.get(texts[0] ?? "");
      if (known && known.expirationSecs > nowSecs()) return () => ({ ...requireLiveSession(known), isFromCookie });
    }
    const decoded = passing(texts, tokens.decode);
    return () => {
      const [verified] = passing(decoded, (token) => verifyUserToken(token, TOKEN_TYPE_OF[kind]));
      return { ...verified, isFromCookie };
    };
  }

  function openUserTokenIfSent(request: Request, cookies: Cookies): PresentedToken | undefined {
    try {
      return openUserToken("user", request, cookies)();
    } catch (error) {
      if (error instanceof ApiError) return undefined;
      throw error;
    }
  }

  function verifyUserToken(token: DecodedUserToken, type: TokenType): UserToken {
    const verified = tokens.verify(token, type, nowSecs());
    if (type === "Access") verifiedAccessTokens.set(token.text, verified);
    return type === "Access" ? requireLiveSession(verified) : verified;
  }

  function requireLiveSession(token: UserToken): UserToken {
    // Tokens of the reference name no session; the account's own id is listed for them.
    if (revokedSessions.has(token.session_id ?? token.user_id)) throw expired();
    return token;
  }

  function decodeKnownOrNew(text: string): ContainerToken | undefined {
    return verifiedContainerTokens.get(text) ?? decodeContainerToken(text);
  }

  function openContainerToken(need: "read" | "write", request: Request, cookies: Cookies) {
    const { texts } = findToken(HEADERS.container, request, cookies);
    const candidates = passing(texts, (text) => {
      const decoded = decodeKnownOrNew(text);
      if (!decoded) throw incorrectContainerToken();
      return decoded;
    });
    return async (): Promise<ContainerAccess> => {
      const token = await firstVerified(candidates);
      if (need === "write") await requireWriteAccess(token);
      return { key_id: token.key_id, container_id: token.container_id };
    };
  }

  /** Takes the first cookie that is valid (decision P7). @throws the first one's error when none is */
  async function firstVerified(candidates: readonly ContainerToken[]): Promise<ContainerToken> {
    let firstRefusal: unknown;
    for (const token of candidates) {
      try {
        await verifyContainerTokens([token]);
        return token;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        firstRefusal ??= error;
      }
    }
    throw firstRefusal;
  }

  /** The flag of a cached key may be out of date: before refusing, the database is asked. Statements check it too. */
  async function requireWriteAccess(token: ContainerToken): Promise<void> {
    if (!containerKeys.get(pairOf(token))?.read_only) return;
    const [key] = await readKeys([token]);
    if (!key) throw containerDoesNotExist();
    if (key.read_only) throw readOnlyAccess();
  }

  async function verifyContainerTokens(list: readonly ContainerToken[]): Promise<ContainerAccess[]> {
    const fresh = list.filter((token) => !verifiedContainerTokens.get(token.text));
    const keys = await keysOf(fresh);
    try {
      for (const [index, { token, public_key }] of keys.entries()) {
        if (index > 0 && index % SIGNATURES_PER_TURN === 0) await nextTurn();
        verifyContainerToken(token, public_key, nowSecs());
        verifiedContainerTokens.set(token.text, token);
      }
      for (const token of list) requireUnexpired(token, nowSecs());
    } catch (refusal) {
      // A cached key may be gone, and an unknown key is told before a bad signature: the database is asked.
      if ((await readKeys(list)).length < list.length) throw containerDoesNotExist();
      throw refusal;
    }
    return list.map(({ key_id, container_id }) => ({ key_id, container_id }));
  }

  /**
   * The public key of each token. Those that are not cached are read in one query; they never change.
   *
   * @throws ApiError CONTAINER_DOES_NOT_EXIST
   */
  async function keysOf(list: readonly ContainerToken[]) {
    const found = list.map((token) => ({ token, key: containerKeys.get(pairOf(token)) }));
    const unknown = found.flatMap(({ token, key }) => (key ? [] : [token]));
    const rows = unknown.length > 0 ? await readKeys(unknown) : [];
    const read = new Map(rows.map((row) => [pairOf(row), row]));
    return found.map(({ token, key = read.get(pairOf(token)) }) => {
      if (!key) throw containerDoesNotExist();
      return { token, public_key: key.public_key };
    });
  }

  async function readKeys(list: readonly ContainerToken[]) {
    const rows = await containerQueries.access_keys(db, {
      key_ids: list.map((token) => token.key_id),
      container_ids: list.map((token) => token.container_id),
    });
    for (const row of rows) containerKeys.set(pairOf(row), row);
    return rows;
  }

  return {
    open(needs, request, cookies) {
      const user = needs.user && openUserToken("user", request, cookies)();
      const userIfSent = needs.userIfSent && openUserTokenIfSent(request, cookies);
      const signIn = needs.signIn && openUserToken("signIn", request, cookies);
      const refresh = needs.refresh && openUserToken("refresh", request, cookies);
      const container = needs.container && openContainerToken(needs.container, request, cookies);
      const accept = needs.accept && invitationAccess.openAccept(needs.accept, request, cookies);
      const inviteSender = needs.inviteSender && invitationAccess.openInviteSender(request, cookies);
      const finish = async () =>
        ({
          user,
          userIfSent,
          signIn: signIn?.(),
          refresh: refresh?.(),
          container: await container?.(),
          accept: await accept?.(),
          inviteSender: await inviteSender?.(),
        }) as ProofsOf<typeof needs>;
      return { user_id: user?.user_id, finish };
    },
    decodeContainerToken: decodeKnownOrNew,
    verifyContainerTokens,
  };
}

function pairOf({ key_id, container_id }: ContainerAccess): string {
  return key_id + container_id;
}
