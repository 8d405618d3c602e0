/** What each error means to the author of a client. */
import { ERRORS, type ErrorType } from "../errors.ts";
import type { JsonObject } from "./json.ts";

const MEANINGS: Record<ErrorType, string> = {
  INCORRECTLY_FORMED: "A value has the right type and is still not allowed; the message names the field.",
  INVALID_MESSAGE: "A Uuid or Timestamp in the body is none.",
  OUT_OF_DATE: "Somebody changed it meanwhile: fetch the newest version. For an invitation: its time is over.",
  INVALID_STATE: "The state of the account or container does not allow it.",
  MISSING_HEADER: "A header is missing.",
  CONFLICT_WITH_EXISTING: "It exists already.",
  INCORRECT_CREDENTIAL: "A token, password, passcode or key is wrong.",
  TOKEN_EXPIRED: "A token has expired, or its session or account is gone.",
  TOKEN_MISSING: "A token is missing.",
  WRONG_TOKEN_TYPE: "A good token of another type stands in this token's place.",
  USER_DISALLOWED: "The caller may not do this; for browsers also: the CSRF token or the origin is wrong.",
  PENDING_ACTION: "Something else has to be done first, such as entering the passcode.",
  INCORRECT_NONCE: "The sign-in nonce is unknown, used or expired: fetch a new one.",
  TOO_MANY_ATTEMPTS: "Too many attempts; `Retry-After` says when the next one is let through.",
  READ_ONLY_ACCESS: "The container's key may only read.",
  USER_DOES_NOT_EXIST: "There is no such account.",
  KEY_DOES_NOT_EXIST: "There is no such key.",
  CONTAINER_DOES_NOT_EXIST: "There is no such container, or the token's key does not open it.",
  ENTRY_DOES_NOT_EXIST: "The container has no such entry.",
  CATEGORY_DOES_NOT_EXIST: "The container has no such category.",
  INVITATION_DOES_NOT_EXIST: "There is no such invitation.",
  FOREIGN_KEY_DOES_NOT_EXIST: "Something that the body refers to does not exist in this container.",
  INPUT_TOO_LARGE: "A field is larger than allowed; the message names it and its limit.",
  TOO_MANY_REQUESTED: "More items than allowed; the message names the limit.",
  INTERNAL_ERROR: "Something went wrong in the server; its log knows what.",
  PREHANDLER: "Refused before the route's own work: the status says why, and the message in words.",
  CLIENT_OUT_OF_DATE: "The client is too old for this server and must be updated.",
};

/** The enumeration, also with numbers and statuses for tools (`x-error-types`). */
export function errorTypeSchema(): JsonObject {
  const all = Object.entries(ERRORS) as [ErrorType, { no: number; status: number }][];
  const rows = all.map(
    ([name, { no, status }]) => `| ${no} | ${name} | ${statusText(name, status)} | ${MEANINGS[name]} |`,
  );
  return {
    type: "string",
    enum: all.map(([name]) => name),
    description: [
      "A number in protobuf, the name in JSON.\n",
      "| no. | name | status | meaning |",
      "|---|---|---|---|",
      ...rows,
    ].join("\n"),
    "x-error-types": all.map(([name, { no, status }]) => ({ name, number: no, status, meaning: MEANINGS[name] })),
  };
}

function statusText(name: ErrorType, status: number): string {
  return name === "PREHANDLER" ? "400, 404, 405, 413, 429, 503" : String(status);
}

/** Error names with their meanings, as a Markdown list. */
export function listErrors(names: readonly ErrorType[]): string {
  return names.map((name) => `- \`${name}\`: ${MEANINGS[name]}`).join("\n");
}
