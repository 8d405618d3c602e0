/** Which errors a route can answer: most follow from what it declares, the rest it lists in `errors`. */
import { ERRORS, type ErrorType } from "../errors.ts";
import type { TokenNeeds } from "../http/access.ts";
import { asksForVersion } from "../http/appVersion.ts";
import type { EndpointSpec, HandlerError } from "../http/endpoint.ts";
import type { Message } from "../wire/message.ts";

export type Spec = EndpointSpec<TokenNeeds, unknown, unknown>;

/** @returns the names of the errors by status, both in ascending order */
export function refusalsOf(spec: Spec): Map<number, ErrorType[]> {
  const found = new Map<number, Set<ErrorType>>();
  const add = (type: ErrorType, status: number = ERRORS[type].status) => {
    const types = found.get(status) ?? new Set();
    found.set(status, types.add(type));
  };
  for (const error of [...errorsOfTokens(spec.tokens), ...errorsOfInput(spec), ...(spec.errors ?? [])]) {
    if (typeof error === "number") add("PREHANDLER", error);
    else add(error);
  }
  if (spec.request || spec.bodyType || (spec.answers === "page" && spec.method === "POST")) add("PREHANDLER", 413);
  if (spec.limit !== "unlimited") add("PREHANDLER", 429);
  if (spec.limit !== "unlimited" && !spec.hasEtag && !spec.answersUnavailable) add("PREHANDLER", 503);
  add("INTERNAL_ERROR");
  const byStatus = [...found].sort(([a], [b]) => a - b);
  return new Map(byStatus.map(([status, types]) => [status, [...types].sort()]));
}

const USER_TOKEN: readonly HandlerError[] = [
  "TOKEN_MISSING",
  "INCORRECT_CREDENTIAL",
  "TOKEN_EXPIRED",
  "WRONG_TOKEN_TYPE",
];
const SIGNED_TOKEN: readonly HandlerError[] = ["TOKEN_MISSING", "INCORRECT_CREDENTIAL", "TOKEN_EXPIRED"];

function errorsOfTokens(tokens: TokenNeeds): HandlerError[] {
  const errors: HandlerError[] = [];
  if (tokens.user || tokens.signIn || tokens.refresh) errors.push(...USER_TOKEN);
  if (tokens.container) errors.push(...SIGNED_TOKEN, "CONTAINER_DOES_NOT_EXIST");
  if (tokens.container === "write") errors.push("READ_ONLY_ACCESS");
  if (tokens.accept || tokens.inviteSender) errors.push(...SIGNED_TOKEN, "INVITATION_DOES_NOT_EXIST");
  if (tokens.accept === "live") errors.push("OUT_OF_DATE");
  return errors;
}

function errorsOfInput(spec: Spec): HandlerError[] {
  const errors: HandlerError[] = [];
  // A page goes by no cookie, so nobody can make a browser do something with one.
  if (spec.method !== "GET" && spec.answers !== "page") errors.push("USER_DISALLOWED");
  if (spec.answers === "page") errors.push(400);
  if (Object.values(spec.query ?? {}).some(({ isRequired }) => isRequired)) errors.push(400);
  if (spec.request || spec.bodyType) errors.push(400);
  if (spec.isForOperator) errors.push(400, "INCORRECT_CREDENTIAL");
  if (spec.request && holdsTextScalar(spec.request)) errors.push("INVALID_MESSAGE");
  if (spec.bodyElementsMax) errors.push("TOO_MANY_REQUESTED");
  if (asksForVersion(spec.path)) errors.push("INCORRECTLY_FORMED", "CLIENT_OUT_OF_DATE");
  return errors;
}

/** Whether a body of this message can hold a Uuid or Timestamp that is none. */
function holdsTextScalar(message: Pick<Message, "schema">): boolean {
  return /"format":"(?:uuid|date-time)"/.test(JSON.stringify(message.schema));
}
