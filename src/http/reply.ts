import { isDatabaseUnavailable } from "../db/connect.ts";
import { ApiError, overloaded } from "../errors.ts";
import type { Log } from "../log.ts";
import { ServerErrorResponse } from "../wire/common.ts";
import type { Encodable, Message } from "../wire/message.ts";
import { MEDIA_TYPES, requestEncoding, responseEncoding } from "../wire/negotiation.ts";
import { answerOf } from "./largeAnswers.ts";

/** What a client should wait when the database is away. */
const DATABASE_RETRY_AFTER_SECS = 5;

/**
 * Encodes an answer as the request's `Accept` asks (messages.md). Without a message the body is empty and has no
 * Content-Type.
 */
export function reply<Reply>(
  request: Request,
  status: number,
  message: Message<Reply> | undefined,
  value: Reply | Encodable<Reply> | undefined,
): Response {
  if (message === undefined || value === undefined) return new Response(null, { status });
  const encoding = responseEncoding(
    request.headers.get("accept"),
    requestEncoding(request.headers.get("content-type")),
  );
  const init = { status, headers: { "content-type": MEDIA_TYPES[encoding] } };
  if (encoding === "json") return new Response(message.encodeJson(value), init);
  return answerOf(message.encodeProtobuf(value), init);
}

/**
 * What a client may know of an error: an ApiError as it is, a database that is away as 503, anything else as
 * INTERNAL_ERROR with its cause in the log and nowhere else.
 */
export function refusalOf(error: unknown, log: Log, requestId: string): ApiError {
  const known = asApiError(error);
  if (known.type === "INTERNAL_ERROR") log.error("request failed", { request_id: requestId, ...describe(error) });
  else if (known.status === 503) log.warn("request refused", { request_id: requestId, ...describe(error) });
  return known;
}

/** The one writer of errors to clients; pages have their own for people. */
export function errorReply(request: Request, refusal: ApiError): Response {
  const value = { err_type: refusal.type, err_message: refusal.message };
  const response = reply(request, refusal.status, ServerErrorResponse, value);
  for (const [name, text] of Object.entries(refusal.headers)) response.headers.set(name, text);
  return response;
}

function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (isDatabaseUnavailable(error))
    return overloaded("The database is away or busy; try again soon.", DATABASE_RETRY_AFTER_SECS);
  return new ApiError("INTERNAL_ERROR", "Internal error");
}

/**
 * What the log may know of an error. Of PostgreSQL's errors, neither `detail` nor the message of a data exception
 * (class 22): they quote values.
 */
function describe(error: unknown): Record<string, string | undefined> {
  if (!(error instanceof Error)) return { error: typeof error };
  const code = "code" in error ? String(error.code) : undefined;
  const constraint = "constraint_name" in error && error.constraint_name ? String(error.constraint_name) : undefined;
  if (error.name === "PostgresError") {
    return { error: error.name, code, constraint, message: code?.startsWith("22") ? undefined : error.message };
  }
  return { error: error.name, message: error.message, code, stack: error.stack };
}
