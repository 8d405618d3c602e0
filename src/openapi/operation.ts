/** One route as an operation of the description. */
import type { ErrorType } from "../errors.ts";
import { asksForVersion } from "../http/appVersion.ts";
import type { Parameter } from "../http/endpoint.ts";
import { ServerErrorResponse } from "../wire/common.ts";
import { listErrors } from "./errorTypes.ts";
import type { JsonObject } from "./json.ts";
import { refusalsOf, type Spec } from "./refusals.ts";
import { messageContent, schemaRef } from "./schemas.ts";
import { securityOf } from "./security.ts";
import { tagOf } from "./tags.ts";

/** Error responses that many operations share, by their names in the document. */
export type SharedResponses = Map<string, JsonObject>;

/** @param shared gets the error responses that this operation refers to */
export function operationOf(spec: Spec, shared: SharedResponses): JsonObject {
  return {
    operationId: operationId(spec),
    tags: [tagOf(spec.method, spec.path)],
    summary: spec.summary,
    description: descriptionOf(spec),
    security: securityOf(spec),
    parameters: parametersOf(spec),
    requestBody: requestBodyOf(spec),
    responses: { ...successOf(spec), ...refusalResponses(spec, shared) },
    "x-limit-class": spec.limit,
  };
}

/** Method and path as one word, like `putContainerEntry`. */
function operationId({ method, path }: Spec): string {
  const words = path.replace(/^\/(?:api\/)?/, "").split(/[^A-Za-z0-9]+/);
  const capitalised = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return method.toLowerCase() + (capitalised.join("") || "FrontPage");
}

function descriptionOf({ details, limit }: Spec): string {
  const limitText = limit === "unlimited" ? "Not limited." : `Limit class: \`${limit}\`.`;
  return details === undefined ? limitText : `${details}\n\n${limitText}`;
}

/** The client's version, as a parameter that most operations share. */
export const APP_VERSION = {
  name: "AppVersion",
  in: "header",
  description: "The client's own version (semver.org). Without it a client counts as current.",
  required: false,
  schema: { type: "string", examples: ["1.10.0"] },
};

function parametersOf({ path, query, headers }: Spec): JsonObject[] {
  const parameters = [...parametersIn("query", query), ...parametersIn("header", headers)];
  return asksForVersion(path) ? [...parameters, { $ref: "#/components/parameters/AppVersion" }] : parameters;
}

function parametersIn(place: "query" | "header", parameters: Readonly<Record<string, Parameter>> = {}): JsonObject[] {
  return Object.entries(parameters).map(([name, { description, isRequired, schema }]) => ({
    name,
    in: place,
    description,
    required: isRequired ?? false,
    schema: (schema as JsonObject | undefined) ?? { type: "string" },
  }));
}

const FORM = {
  type: "object",
  properties: { token: { type: "string", description: "The token of the link." } },
  required: ["token"],
};

function requestBodyOf({ request, bodyType, answers, method }: Spec): JsonObject | undefined {
  if (request) return { required: true, content: messageContent(request) };
  if (bodyType) return { required: true, content: { [bodyType]: { schema: { type: "string" } } } };
  if (answers !== "page" || method !== "POST") return undefined;
  return { required: true, content: { "application/x-www-form-urlencoded": { schema: FORM } } };
}

const PAGE = { "text/html": { schema: { type: "string", description: "A page for people." } } };

function successOf(spec: Spec): JsonObject {
  const headers = spec.hasEtag ? { ETag: { schema: { type: "string" } } } : undefined;
  const answers: Record<string, JsonObject> = { [spec.status ?? 200]: { ...contentOf(spec), headers } };
  if (spec.hasEtag) answers[304] = { description: "What `If-None-Match` names is still current. The body is empty." };
  if (spec.answersUnavailable) {
    answers[503] = { ...contentOf(spec), description: "Not now, and why.", headers: headersOf(503, []) };
  }
  return answers;
}

function contentOf({ response, answers, isStream, contentType, contentSchema }: Spec): JsonObject {
  if (answers === "page") return { description: "The page.", content: PAGE };
  if (isStream) {
    const description = "Server-sent events, until the client leaves or no container is left.";
    return { description, content: { "text/event-stream": { schema: { type: "string" } } } };
  }
  if (contentType !== undefined) {
    const [mediaType = ""] = contentType.split(";");
    const schema =
      (contentSchema as JsonObject | undefined) ?? (mediaType === "application/json" ? {} : { type: "string" });
    return { description: "The answer.", content: { [mediaType]: { schema } } };
  }
  if (response) return { description: `The message ${response.name}.`, content: messageContent(response) };
  return { description: "Done. The body is empty." };
}

function refusalResponses(spec: Spec, shared: SharedResponses): JsonObject {
  const responses: Record<string, JsonObject> = {};
  for (const [status, types] of refusalsOf(spec)) {
    const isPage = spec.answers === "page";
    const name = [status, ...(isPage ? ["page"] : types)].join(".");
    if (!shared.has(name)) shared.set(name, isPage ? pageRefusal(status) : refusal(status, types));
    responses[status] = { $ref: `#/components/responses/${name}` };
  }
  return responses;
}

function refusal(status: number, types: readonly ErrorType[]): JsonObject {
  const json = {
    schema: { allOf: [schemaRef(ServerErrorResponse.name), { properties: { err_type: { enum: types } } }] },
    example: { err_type: types[0], err_message: "What was wrong, in a sentence." },
  };
  return {
    description: `${STATUS_TEXTS[status] ?? "Refused."}\n\n${listErrors(types)}`,
    headers: headersOf(status, types),
    content: messageContent(ServerErrorResponse, json),
    "x-error-types": types,
  };
}

function pageRefusal(status: number): JsonObject {
  return {
    description: `${STATUS_TEXTS[status] ?? "Refused."} A page says so.`,
    headers: headersOf(status, []),
    content: PAGE,
  };
}

const STATUS_TEXTS: Record<number, string> = {
  400: "The request is not acceptable.",
  401: "The caller could not be identified.",
  403: "Not allowed.",
  404: "Not found.",
  405: "Not with this method.",
  413: "Too large.",
  418: "Too many, or too old.",
  429: "Too many requests: `Retry-After` says how many seconds to wait.",
  500: "The server's fault.",
  503: "Overloaded, stopping, or the database is away: `Retry-After` says how many seconds to wait.",
};

const HEADERS = {
  "Retry-After": { description: "Seconds.", schema: { type: "integer", minimum: 1 } },
  RateLimit: { description: 'Like `"read";r=0;t=12`: requests left, seconds.', schema: { type: "string" } },
  "RateLimit-Policy": { description: 'Like `"read";q=100;w=30`: requests, seconds.', schema: { type: "string" } },
  Allow: { description: "The methods that this path answers.", schema: { type: "string" } },
};

function headersOf(status: number, types: readonly ErrorType[]): JsonObject | undefined {
  const { Allow, "Retry-After": retryAfter } = HEADERS;
  if (status === 405) return { Allow };
  if (status === 429)
    return { "Retry-After": retryAfter, RateLimit: HEADERS.RateLimit, "RateLimit-Policy": HEADERS["RateLimit-Policy"] };
  if (status === 503 || types.includes("TOO_MANY_ATTEMPTS")) return { "Retry-After": retryAfter };
  return undefined;
}
