/**
 * What an endpoint is, and the way of a request through it: top to bottom in `run`.
 */
import type { Config } from "../config.ts";
import { ApiError, type ErrorType } from "../errors.ts";
import type { Services } from "../services.ts";
import type { Encodable, Message } from "../wire/message.ts";
import { type Encoding, requestEncoding } from "../wire/negotiation.ts";
import { Turns } from "../wire/turns.ts";
import type { OpenedTokens, ProofsOf, TokenNeeds } from "./access.ts";
import { readBody } from "./body.ts";
import type { HeldBytes } from "./byteBudget.ts";
import { type Cookies, parseCookies } from "./cookies.ts";
import type { LimitClass } from "./limits.ts";
import { reply } from "./reply.ts";
import { publicBodyBytesMax, usualBodyBytesMax } from "./sizes.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** Everything about a route that is not its work: one glance tells who may call it and how often. */
export interface EndpointSpec<Needs extends TokenNeeds, Body, Reply> {
  method: Method;
  path: `/${string}`;
  /** One sentence that says what it does. */
  summary: string;
  /** The rate-limit class; "unlimited" only for what costs nothing. */
  limit: LimitClass | "unlimited";
  /** The tokens that it asks for; `{}` opens it to everybody. */
  tokens: Needs;
  /** The message that the body must hold. Without it the body is not looked at. */
  request?: Message<Body>;
  /** The message that it answers; without it the answer is empty. */
  response?: Message<Reply>;
  /** Of an answer that is no message, like `text/plain; version=0.0.4`: the handler answers a Response with it. */
  contentType?: string;
  /** The answer goes on for as long as the client listens. */
  isStream?: true;
  /** Status of success; 200 unless given. */
  status?: 200 | 201;
  /** Largest body in bytes; by default `usualBodyBytesMax`, or `publicBodyBytesMax` without an access token. */
  bodyBytesMax?: (config: Config) => number;
  /** Elements that a large body may have, before it fills the memory; any number unless given. */
  bodyElementsMax?: (config: Config) => number;
  /** Of pages for people (page.ts): their errors are pages too, and no cookie is looked at. */
  answers?: "page";
  /** The rest is only for the API's description (openapi/). More sentences about what it does, in Markdown. */
  details?: string;
  /** What the handler reads from the URL's query, by name. */
  query?: Readonly<Record<string, Parameter>>;
  /** Headers that the handler reads, by name; those of `tokens` are known. */
  headers?: Readonly<Record<string, Parameter>>;
  /** Its handler asks for an operator's key: as a Bearer token, or in the query's `key`. */
  isForOperator?: true;
  /** Media type of a body that is no message and that the handler reads itself. */
  bodyType?: string;
  /** It answers 503 itself, with the same type of body as its 200. */
  answersUnavailable?: true;
  /** JSON Schema of an answer that is JSON and no message. */
  contentSchema?: Readonly<Record<string, unknown>>;
  /** Its answer has an ETag, and is 304 without a body to a client that has the same already. */
  hasEtag?: true;
  /** What the handler refuses a request with, beside what follows from the above (openapi/refusals.ts). */
  errors?: readonly HandlerError[];
}

/** One value that a request may carry outside its body. */
export interface Parameter {
  /** One sentence. */
  description: string;
  /** Without it the request is refused. */
  isRequired?: true;
  /** JSON Schema; any text unless given. */
  schema?: Readonly<Record<string, unknown>>;
}

/** An error's name; a number is PREHANDLER with that status. */
export type HandlerError = Exclude<ErrorType, "PREHANDLER"> | 400 | 404 | 405;

export interface Context<Needs extends TokenNeeds, Body> {
  services: Services;
  request: Request;
  query: URLSearchParams;
  /** The client's address as far as proxies can be believed; undefined on a unix socket. */
  clientAddress: string | undefined;
  /** Whether the client keeps tokens in cookies (accounts.md 3.1). */
  isBrowser: boolean;
  /** The request as it came, for what is not read for the handler. */
  incoming: Incoming;
  /** What the tokens of the request prove, one member per token of the spec. */
  proofs: ProofsOf<Needs>;
  body: Body;
  /** Adds Set-Cookie headers to the answer. */
  addCookies: (cookies: readonly string[]) => void;
}

/** An endpoint with its types put away, as the app registers it. */
export interface Endpoint {
  readonly spec: EndpointSpec<TokenNeeds, unknown, unknown>;
  run(incoming: Incoming): Promise<Response>;
}

/** A request with what was found out about its sender. */
export interface Incoming {
  services: Services;
  request: Request;
  clientAddress: string | undefined;
  /** The other end of the connection, perhaps a proxy; undefined on a unix socket. */
  peerAddress: string | undefined;
  /** Called for each piece of the body, so that the connection is not cut while more comes. */
  onBodyProgress: () => void;
  /** Called for an answer that may be silent for long: from now on the connection is cut later. */
  onStream: () => void;
  /** Whose request it is, as far as is known by now: an address, or the id of the account. */
  account: string;
  /** What a large body takes of the memory for bodies. */
  heldBody?: HeldBytes;
}

const EMPTY_COOKIES = parseCookies(null);

/** Larger bodies are decoded in turns with other requests. */
const ONE_GO_BYTES_MAX = 256 * 1024;

/**
 * Declares an endpoint.
 *
 * @param handle does the work; what it returns is encoded as `spec.response`, undefined is an empty body, and a
 * Response is sent as it is
 */
export function endpoint<const Needs extends TokenNeeds, Body = undefined, Reply = undefined>(
  spec: EndpointSpec<Needs, Body, Reply>,
  handle: (context: Context<Needs, Body>) => Promise<Reply | Encodable<Reply> | Response | undefined>,
): Endpoint {
  const changesContainer = spec.tokens.container === "write" && spec.limit !== "read";

  /** Tokens come before the body, the body before signatures of tokens that only were decoded (accounts.md 1.3). */
  async function run(incoming: Incoming): Promise<Response> {
    const { services, request } = incoming;
    const cookieHeader = request.headers.get("cookie");
    const cookies: Cookies = cookieHeader === null ? EMPTY_COOKIES : parseCookies(cookieHeader);
    const tokens = services.access.open(spec.tokens, request, cookies);
    if (tokens.user_id !== undefined) incoming.account = tokens.user_id;
    try {
      const received = spec.request ? await receiveBody(spec, incoming) : undefined;
      const work = () => answer(incoming, tokens, received);
      if (!spec.bodyElementsMax || !received || received.bytes.length <= ONE_GO_BYTES_MAX) return await work();
      return await services.bounds.wholeContainers.run(() => {
        incoming.onBodyProgress(); // the time that it waited does not count
        return work();
      });
    } finally {
      incoming.heldBody?.release();
    }
  }

  async function answer(
    incoming: Incoming,
    tokens: OpenedTokens<Needs>,
    received: ReceivedBody | undefined,
  ): Promise<Response> {
    const { services, request, clientAddress } = incoming;
    const body = spec.request && received ? await decodeBody(spec, spec.request, received, services.config) : undefined;
    const newCookies: string[] = [];
    const proofs = await tokens.finish();
    const context: Context<Needs, Body> = {
      services,
      request,
      get query() {
        return queryOf(request);
      },
      clientAddress,
      isBrowser: request.headers.get("x-client-is-browser")?.toLowerCase() === "true",
      incoming,
      proofs,
      body: body as Body,
      addCookies: (cookies) => newCookies.push(...cookies),
    };
    const container_id = changesContainer ? proofs.container.container_id : undefined;
    const result =
      container_id === undefined
        ? await handle(context)
        : await services.bounds.containerWrites.run(container_id, () => handle(context));
    if (spec.isStream) incoming.onStream();
    // Whoever may write has written: who watches the container is told.
    if (container_id !== undefined) services.liveChanges.announce(container_id);
    const response = result instanceof Response ? result : reply(request, spec.status ?? 200, spec.response, result);
    for (const cookie of newCookies) response.headers.append("set-cookie", cookie);
    return response;
  }

  return { spec: spec as EndpointSpec<TokenNeeds, unknown, unknown>, run };
}

type BodyLimits = Pick<EndpointSpec<TokenNeeds, unknown, unknown>, "tokens" | "bodyBytesMax" | "bodyElementsMax">;

interface ReceivedBody {
  encoding: Encoding;
  bytes: Uint8Array;
}

/** @throws ApiError PREHANDLER: 400 for another media type, what readBody throws, 503 when there is no room for it */
async function receiveBody({ tokens, bodyBytesMax }: BodyLimits, incoming: Incoming): Promise<ReceivedBody> {
  const { services, request } = incoming;
  const encoding = requestEncoding(request.headers.get("content-type"));
  if (!encoding) {
    throw new ApiError("PREHANDLER", "The Content-Type must be application/protobuf or application/json.");
  }
  // Other tokens are only decoded by now, so anybody can make one up.
  const usual = tokens.user ? usualBodyBytesMax : publicBodyBytesMax;
  const bytesMax = (bodyBytesMax ?? usual)(services.config);
  const bytes = await readBody(request, bytesMax, (pieceBytes) => {
    incoming.onBodyProgress();
    incoming.heldBody ??= services.bounds.bodyBytes.hold(incoming.account);
    incoming.heldBody.grow(pieceBytes);
  });
  return { encoding, bytes };
}

async function decodeBody<Body>(
  { bodyElementsMax }: BodyLimits,
  message: Message<Body>,
  { encoding, bytes }: ReceivedBody,
  config: Config,
): Promise<Body> {
  if (bytes.length > ONE_GO_BYTES_MAX) {
    return message.decodeInTurns(encoding, bytes, new Turns(bodyElementsMax?.(config)));
  }
  return encoding === "json" ? message.decodeJson(bytes) : message.decodeProtobuf(bytes);
}

/** The query of a request's URL, percent-decoded; `+` is a space. */
export function queryOf(request: Request): URLSearchParams {
  const start = request.url.indexOf("?");
  return new URLSearchParams(start === -1 ? "" : request.url.slice(start + 1));
}
