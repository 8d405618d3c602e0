/** Tokens as security schemes: each can come in a header or in the cookie of the same name. */
import { CSRF_COOKIE } from "../http/cookies.ts";
import type { JsonObject } from "./json.ts";
import type { Spec } from "./refusals.ts";

const TOKENS = {
  user: { name: "x-access-token", about: "An access token: a signed-in user. It lives for minutes; refresh it." },
  signIn: { name: "x-signin-token", about: "A sign-in token: the password was right, the passcode is still to come." },
  refresh: { name: "x-refresh-token", about: "A refresh token: it works once, for the next pair of tokens." },
  container: {
    name: "x-container-access-token",
    about:
      "A container access token. The client signs it with the container's own Ed25519 key: URL-safe base64, padded, of the claims as JSON (`kid` key id, `bid` container id, `exp` Unix seconds) followed by the signature's 64 bytes.",
  },
  accept: {
    name: "x-container-accept-token",
    about:
      "A container accept token, signed by the invited client with the accept key: claims `iid` invitation id, `kid` accept key id, `cid` container id, `exp`.",
  },
  inviteSender: {
    name: "x-container-invite-sender-token",
    about:
      "An invite-sender token, signed with the invitation's key: claims `iid` invitation id, `exp`, and `kid`, the accept key that is to go as well.",
  },
} as const;

type TokenKind = keyof typeof TOKENS;
const KINDS = Object.keys(TOKENS) as TokenKind[];

/** A cookie of this name, and a header with the same value. */
const CSRF_SCHEMES = ["csrf-header", "csrf-cookie"] as const;

const OPERATOR_SCHEMES = ["operator-key", "operator-key-query"] as const;

const schemeName = (kind: TokenKind, place: "header" | "cookie") => `${TOKENS[kind].name.slice(2)}-${place}`;

/** The `securitySchemes` of the document. */
export function securitySchemes(): JsonObject {
  const schemes: Record<string, JsonObject> = {};
  for (const kind of KINDS) {
    const { name, about } = TOKENS[kind];
    schemes[schemeName(kind, "header")] = { type: "apiKey", in: "header", name, description: about };
    schemes[schemeName(kind, "cookie")] = {
      type: "apiKey",
      in: "cookie",
      name,
      description: `The same in a cookie, for browsers. A header beats it. Changes then need ${CSRF_COOKIE} as well.`,
    };
  }
  const [header, cookie] = CSRF_SCHEMES;
  const about = `The token of GET /api/auth/csrf-token: header and cookie ${CSRF_COOKIE} must be equal whenever a request that changes something carries one of this server's cookies.`;
  schemes[header] = { type: "apiKey", in: "header", name: CSRF_COOKIE, description: about };
  schemes[cookie] = { type: "apiKey", in: "cookie", name: CSRF_COOKIE, description: about };
  const [bearer, query] = OPERATOR_SCHEMES;
  schemes[bearer] = { type: "http", scheme: "bearer", description: "An operator's key, from the server's settings." };
  schemes[query] = {
    type: "apiKey",
    in: "query",
    name: "key",
    description: "The same, where a header cannot be sent.",
  };
  return schemes;
}

/**
 * The `security` of an operation: every combination of header and cookie for its tokens, headers first; with a cookie in
 * a request that changes something, the CSRF token in both places. Empty for a route that is open.
 */
export function securityOf({ method, tokens, isForOperator }: Spec): JsonObject[] {
  if (isForOperator) return OPERATOR_SCHEMES.map((name) => ({ [name]: [] }));
  if (tokens.userIfSent) return [{}, ...securityOfKinds(method, ["user"])];
  return securityOfKinds(
    method,
    KINDS.filter((kind) => tokens[kind]),
  );
}

function securityOfKinds(method: Spec["method"], kinds: readonly TokenKind[]): JsonObject[] {
  if (kinds.length === 0) return [];
  let choices: string[][] = [[]];
  for (const kind of kinds) {
    const places = [schemeName(kind, "header"), schemeName(kind, "cookie")];
    choices = choices.flatMap((chosen) => places.map((place) => [...chosen, place]));
  }
  return choices.map((names) => {
    const needsCsrf = method !== "GET" && names.some((name) => name.endsWith("-cookie"));
    return Object.fromEntries([...names, ...(needsCsrf ? CSRF_SCHEMES : [])].map((name) => [name, []]));
  });
}
