import { ApiError } from "../errors.ts";
import { isInNetworks, parseIp } from "../http/address.ts";
import { endpoint } from "../http/endpoint.ts";
import type { Services } from "../services.ts";
import { requireAdminKey } from "./adminKey.ts";
import { REPORTS_MAX } from "./clientErrors.ts";
import { healthOf, reasonNotReady } from "./health.ts";
import { readReport } from "./reportText.ts";
import { HEALTH_SCHEMA, REPORTS_SCHEMA, STATUS_SCHEMA } from "./schemas.ts";

const JSON_TYPE = "application/json";
/** What a client should wait while this process can do nothing for it. */
const RETRY_AFTER_SECS = 5;

export const opsRoutes = [
  endpoint(
    {
      method: "GET",
      path: "/api/heartbeat",
      summary: "Says that the process answers. Asks no database.",
      limit: "unlimited",
      tokens: {},
    },
    async () => undefined,
  ),

  endpoint(
    {
      method: "GET",
      path: "/api/health",
      summary: "Tells an operator how the server, its database and its jobs are; 503 while the database is away.",
      limit: "read",
      tokens: {},
      contentType: JSON_TYPE,
      contentSchema: HEALTH_SCHEMA,
      answersUnavailable: true,
      isForOperator: true,
    },
    async ({ services, request, query }) => {
      requireAdminKey(request, query, services.config.healthEndpointKey);
      const health = await healthOf(services);
      return health.database.reachable ? jsonReply(200, health) : jsonReply(503, health);
    },
  ),

  endpoint(
    {
      method: "GET",
      path: "/healthz",
      summary: "Says that the process is alive, for a supervisor that starts it anew otherwise. Asks no database.",
      limit: "unlimited",
      tokens: {},
      contentType: JSON_TYPE,
      contentSchema: STATUS_SCHEMA,
    },
    async () => jsonReply(200, { status: "ok" }),
  ),

  endpoint(
    {
      method: "GET",
      path: "/readyz",
      summary: "Says whether the process should get requests, for a load balancer; else 503 with the reason.",
      limit: "unlimited",
      tokens: {},
      contentType: JSON_TYPE,
      contentSchema: STATUS_SCHEMA,
      answersUnavailable: true,
    },
    async ({ services }) => {
      const reason = await reasonNotReady(services);
      return reason === undefined
        ? jsonReply(200, { status: "ready" })
        : jsonReply(503, { status: "not ready", reason });
    },
  ),

  endpoint(
    {
      method: "GET",
      path: "/metrics",
      summary: "Numbers for Prometheus. Only connections from allowed networks see that there is such a route.",
      limit: "unlimited",
      tokens: {},
      contentType: "text/plain; version=0.0.4; charset=utf-8",
      errors: [404],
    },
    async ({ services, incoming }) => {
      requireMetricsReader(services, incoming.peerAddress);
      const { text, contentType } = services.ops.metrics;
      return new Response(await text(), { headers: { "content-type": contentType } });
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/client-errors",
      summary:
        "Takes the text of an error that a client met, of any content type and charset; 256 bytes of it are kept.",
      limit: "error-report",
      tokens: {},
      bodyType: "text/plain",
    },
    async ({ services, incoming }) => {
      services.ops.clientErrors.add(await readReport(incoming));
      return undefined;
    },
  ),

  endpoint(
    {
      method: "GET",
      path: "/api/client-errors",
      summary: "Lists for an operator what clients reported to this process, the newest first.",
      limit: "read",
      tokens: {},
      contentType: JSON_TYPE,
      contentSchema: REPORTS_SCHEMA,
      isForOperator: true,
      query: {
        limit: {
          description: "Most reports that are listed; all unless given.",
          schema: { type: "integer", minimum: 1, maximum: REPORTS_MAX },
        },
      },
    },
    async ({ services, request, query }) => {
      requireAdminKey(request, query, services.config.clientErrorsEndpointKey);
      return jsonReply(200, services.ops.clientErrors.newest(limitOf(query)));
    },
  ),
];

function jsonReply(status: 200 | 503, value: unknown): Response {
  const headers = status === 503 ? { "retry-after": String(RETRY_AFTER_SECS) } : undefined;
  return Response.json(value, { status, headers: { "content-type": JSON_TYPE, ...headers } });
}

/** @throws ApiError PREHANDLER 404, as for a route that does not exist */
function requireMetricsReader({ config }: Services, peerAddress: string | undefined): void {
  const peer = parseIp(peerAddress ?? "");
  if (peer && isInNetworks(peer, config.metricsAllowedNetworks)) return;
  throw new ApiError("PREHANDLER", "There is no such route.", { status: 404 });
}

/** @throws ApiError PREHANDLER 400 */
function limitOf(query: URLSearchParams): number {
  const [text, ...more] = query.getAll("limit");
  if (text === undefined) return REPORTS_MAX;
  const limit = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0;
  if (more.length > 0 || limit < 1 || limit > REPORTS_MAX) {
    throw new ApiError("PREHANDLER", `The parameter limit must be a number from 1 to ${REPORTS_MAX}, once.`);
  }
  return limit;
}
