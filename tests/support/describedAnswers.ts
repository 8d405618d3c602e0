/** Holds every answer that tests see against the description of the API, so that none is left out of it. */
import Schema from "typebox/schema";
import { routes } from "../../src/app.ts";
import { openApiText } from "../../src/openapi/document.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import { MEDIA_TYPES } from "../../src/wire/negotiation.ts";

type JsonSchema = Record<string, unknown>;
type Content = Record<string, { schema: JsonSchema }>;

/** Of the description, what the tests look at. */
export interface Described {
  description: string;
  headers?: Record<string, unknown>;
  content?: Content;
  "x-error-types"?: readonly string[];
}

interface Reference {
  $ref: string;
}

export interface Operation {
  operationId: string;
  tags: readonly string[];
  summary: string;
  security: readonly Record<string, readonly string[]>[];
  parameters: readonly ({ name: string; in: string; required: boolean } | Reference)[];
  requestBody?: { content: Content };
  responses: Record<string, Described | Reference>;
}

export interface ApiDescription {
  info: { version: string };
  tags: readonly { name: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, JsonSchema>;
    responses: Record<string, Described>;
    securitySchemes: Record<string, { type: string; in?: string; name?: string }>;
  };
}

export const DESCRIPTION_TEXT = openApiText(routes);
/** As its readers get it. */
export const DESCRIPTION = JSON.parse(DESCRIPTION_TEXT) as ApiDescription;

/** @returns undefined for what is no route */
export function operationOf(method: string, path: string): Operation | undefined {
  return DESCRIPTION.paths[path]?.[method.toLowerCase()];
}

/** The answer of an operation with this status; undefined when the description names none. */
export function describedAnswer(operation: Operation, status: number): Described | undefined {
  const answer = operation.responses[status];
  if (answer === undefined || !("$ref" in answer)) return answer;
  return DESCRIPTION.components.responses[answer.$ref.replace("#/components/responses/", "")];
}

const validators = new Map<JsonSchema, { Check(value: unknown): boolean }>();

/** Whether JSON is as a schema of the description says. */
export function isAsDescribed(schema: JsonSchema, json: unknown): boolean {
  const known = validators.get(schema);
  const validator = known ?? Schema.Compile({ allOf: [schema], components: DESCRIPTION.components });
  if (!known) validators.set(schema, validator);
  return validator.Check(json);
}

/**
 * What is not described of an answer, in one sentence; undefined when all is well, and for what is no route. The
 * answer's body can still be read afterwards.
 */
export async function undescribed(request: Request, answer: Response): Promise<string | undefined> {
  const { pathname } = new URL(request.url);
  const operation = operationOf(request.method, pathname);
  if (!operation) return undefined;
  const { status, headers } = answer;
  const mediaType = headers.get("content-type")?.split(";")[0];
  const bytes = mediaType === "text/event-stream" ? new Uint8Array() : await answer.clone().bytes();
  const what = `${request.method} ${pathname} answered ${status} ${errorTypeIn(mediaType, bytes)}`.trim();

  const described = describedAnswer(operation, status);
  if (!described) return `${what}, which is not described`;
  if (mediaType === undefined) return undefined;
  const content = described.content?.[mediaType];
  if (!content) return `${what} with a body in ${mediaType}, which is not described`;
  const types = described["x-error-types"];
  if (types && !types.includes(errorTypeIn(mediaType, bytes))) return `${what}, which is not described`;
  const isReadable = mediaType === MEDIA_TYPES.json && !headers.has("content-encoding");
  if (!isReadable || isAsDescribed(content.schema, JSON.parse(new TextDecoder().decode(bytes)))) return undefined;
  return `${what} with JSON that is not as described`;
}

/** The type of an error; empty for what is none. */
function errorTypeIn(mediaType: string | undefined, bytes: Uint8Array): string {
  try {
    if (mediaType === MEDIA_TYPES.json) return ServerErrorResponse.decodeJson(bytes).err_type;
    if (mediaType === MEDIA_TYPES.protobuf) return ServerErrorResponse.decodeProtobuf(bytes).err_type;
  } catch {
    // An answer of another kind.
  }
  return "";
}
