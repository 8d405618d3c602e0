import { randomUUID } from "node:crypto";
import { Elysia } from "elysia";
import { addressRoutes } from "./address/routes.ts";
import { authRoutes } from "./auth/routes.ts";
import { categoryRoutes } from "./category/routes.ts";
import { containerRoutes } from "./container/routes.ts";
import { credentialRoutes } from "./credential/routes.ts";
import { deletionRoutes } from "./deletion/routes.ts";
import { entryRoutes } from "./entry/routes.ts";
import { ApiError } from "./errors.ts";
import { eventRoutes } from "./events/routes.ts";
import { factorRoutes } from "./factor/routes.ts";
import { clientAddress } from "./http/address.ts";
import { addAnswerHeaders } from "./http/answerHeaders.ts";
import { requireCurrentApp } from "./http/appVersion.ts";
import { compressed, isCompressible } from "./http/compression.ts";
import { requireCsrf } from "./http/csrf.ts";
import type { Endpoint, Incoming } from "./http/endpoint.ts";
import { countedAnswer } from "./http/largeAnswers.ts";
import { limitHeaders, type Verdict } from "./http/limits.ts";
import { refusalPage } from "./http/page.ts";
import { errorReply, refusalOf } from "./http/reply.ts";
import { invitationRoutes } from "./invitation/routes.ts";
import { openApiRoutes } from "./openapi/routes.ts";
import { opsRoutes } from "./ops/routes.ts";
import { recoveryRoutes } from "./recovery/routes.ts";
import type { Services } from "./services.ts";
import { sessionRoutes } from "./session/routes.ts";
import { siteRoutes } from "./site/routes.ts";
import { syncRoutes } from "./sync/routes.ts";
import { userRoutes } from "./user/routes.ts";

/** Every route of the server. */
export const routes: readonly Endpoint[] = [
  ...opsRoutes,
  ...authRoutes,
  ...sessionRoutes,
  ...recoveryRoutes,
  ...userRoutes,
  ...credentialRoutes,
  ...addressRoutes,
  ...factorRoutes,
  ...deletionRoutes,
  ...containerRoutes,
  ...entryRoutes,
  ...categoryRoutes,
  ...invitationRoutes,
  ...syncRoutes,
  ...eventRoutes,
  ...openApiRoutes(() => routes),
  ...siteRoutes,
];

/** Seconds without progress on a connection after which it is cut, slow bodies included (decision W16). */
export const IDLE_TIMEOUT_SECS = 30;

export type App = ReturnType<typeof createApp>;

/**
 * Builds the web application. It listens nowhere yet.
 *
 * @param idleTimeoutSecs only tests give another time than the contract's
 * @param addHeaders only the benchmark of what they cost goes without
 */
export function createApp(services: Services, idleTimeoutSecs = IDLE_TIMEOUT_SECS, addHeaders = addAnswerHeaders) {
  const app = new Elysia({
    strictPath: true,
    // Bodies are limited route by route, with an answer of our own; the runtime's would be empty.
    serve: { idleTimeout: idleTimeoutSecs, maxRequestBodySize: Number.MAX_SAFE_INTEGER },
  });
  const options = { parse: "none" } as const;
  // Elysia reads a handler's source and prepares what it mentions. For a whole `context` that is everything: cookies,
  // query and headers of each request, which nobody here looks at.
  for (const route of routes) {
    const run = ({ request, server }: ServerContext) =>
      walk(services, route, { request, server }, idleTimeoutSecs, addHeaders);
    app.route(route.spec.method, route.spec.path, run, options);
  }
  const refuse = ({ request, server }: ServerContext) =>
    walk(services, undefined, { request, server }, idleTimeoutSecs, addHeaders);
  return app.all("*", refuse, options);
}

/** A request and what carries it. */
export interface ServerContext {
  request: Request;
  server: {
    requestIP(request: Request): { address: string } | null;
    timeout(request: Request, secs: number): void;
  } | null;
  /** Of a port with fewer routes: throws what a request for none of them is told. */
  refuse?: ((request: Request) => Response) | undefined;
}

/**
 * The way of every request, known route or not: client, CSRF, route, limit, version, then the endpoint's own run. What
 * comes out of it, a refusal too, is compressed and gets the headers that every answer has.
 */
export async function walk(
  services: Services,
  matched: Endpoint | undefined,
  context: ServerContext,
  idleTimeoutSecs: number,
  addHeaders = addAnswerHeaders,
): Promise<Response> {
  const { request, server } = context;
  // The runtime hands a HEAD to the GET route; in the contract it is another method.
  const route = request.method === matched?.spec.method ? matched : undefined;
  const isPage = route?.spec.answers === "page";
  const { log, config } = services;
  const startedAt = performance.now();
  const requestId = randomUUID();
  let verdict: Verdict | undefined;
  let incoming: Incoming | undefined;
  let response: Response;
  try {
    const peer = server?.requestIP(request)?.address;
    const address = clientAddress(peer, request.headers.get("x-forwarded-for"), config.trustedProxies);
    // A page goes by the link's token and by no cookie. Its form's origin is told as "null", since it sends no referrer.
    if (!isPage) requireCsrf(request, { allowedOrigins: config.corsAllowedOrigins });
    if (route) {
      verdict = countForLimit(services, route, address);
      if (verdict?.allowed === false) throw overLimit(verdict);
      requireCurrentApp(request, route.spec.path, config.appVersionMin);
      // The runtime does not count a body that is coming as progress.
      const onBodyProgress = () => server?.timeout(request, idleTimeoutSecs);
      // Heartbeats count as progress. Without a limit, the connection of a stream that has ended, or of a reader that
      // has stopped reading, would stay for ever.
      const onStream = () => server?.timeout(request, 2 * idleTimeoutSecs);
      incoming = {
        services,
        request,
        clientAddress: address,
        peerAddress: peer,
        onBodyProgress,
        onStream,
        account: address ?? "",
      };
      response = await route.run(incoming);
    } else {
      response = (context.refuse ?? refuseUnknown)(request);
    }
  } catch (error) {
    const refusal = refusalOf(error, log, requestId);
    response = isPage ? refusalPage(refusal) : errorReply(request, refusal);
  }
  if (isCompressible(response)) response = await compressed(request, response);
  if (incoming && route) response = countLarge(response, route, incoming, requestId);
  addHeaders(response.headers, request, { config, requestId, verdict });
  // The next request of this connection would find nobody: the client opens another one, elsewhere.
  if (services.lifecycle.isStopping) response.headers.set("connection", "close");
  const durationMs = performance.now() - startedAt;
  services.ops.requests.count(route, request.method, response.status, durationMs);
  log.info("request", {
    request_id: requestId,
    method: request.method,
    route: route?.spec.path ?? "unknown",
    status: response.status,
    duration_ms: Math.round(durationMs * 1000) / 1000,
  });
  return response;
}

/** The answer, counted while it waits to be read; a read gets 503 instead when too much does. */
function countLarge(answer: Response, { spec }: Endpoint, incoming: Incoming, requestId: string): Response {
  const { services, request, account } = incoming;
  try {
    return countedAnswer(answer, services.bounds.answerBytes, account, spec.limit === "read");
  } catch (error) {
    return errorReply(request, refusalOf(error, services.log, requestId));
  }
}

/** The path as it was sent. `URL` would resolve dots and escapes, and throws for a strange Host header. */
function pathOf(url: string): string {
  return /^[a-z]+:\/\/[^/]*([^?]*)/.exec(url)?.[1] ?? "";
}

/** What the limiter says to a request that it counts; undefined where nothing is counted. */
function countForLimit({ limiter }: Services, { spec }: Endpoint, address: string | undefined): Verdict | undefined {
  return spec.limit === "unlimited" ? undefined : limiter.take(spec.limit, address);
}

/** PREHANDLER 429 with `Retry-After` (decision W11). */
function overLimit(verdict: Verdict): ApiError {
  const headers = limitHeaders(verdict);
  return new ApiError("PREHANDLER", "Too many requests; try again later.", { status: 429, headers });
}

/** @throws ApiError PREHANDLER: 405 with `Allow` for a known path, else 404. A preflight is answered 200 (W18). */
function refuseUnknown(request: Request): Response {
  if (request.method === "OPTIONS") return new Response(null, { status: 200 });
  const path = pathOf(request.url);
  const methods = routes.filter(({ spec }) => spec.path === path).map(({ spec }) => spec.method);
  if (methods.length === 0) throw new ApiError("PREHANDLER", "There is no such route.", { status: 404 });
  throw new ApiError("PREHANDLER", `This route answers ${methods.join(", ")}.`, {
    status: 405,
    headers: { allow: methods.join(", ") },
  });
}
