/**
 * The errors a client can see: the contract's ErrorType table (messages.md), once.
 * The codec's enum and the HTTP status derive from it.
 */
export const ERRORS = {
  INCORRECTLY_FORMED: { no: 0, status: 400 },
  INVALID_MESSAGE: { no: 1, status: 400 },
  OUT_OF_DATE: { no: 2, status: 400 },
  INVALID_STATE: { no: 3, status: 400 },
  MISSING_HEADER: { no: 4, status: 400 },
  CONFLICT_WITH_EXISTING: { no: 5, status: 400 },
  INCORRECT_CREDENTIAL: { no: 6, status: 401 },
  TOKEN_EXPIRED: { no: 7, status: 401 },
  TOKEN_MISSING: { no: 8, status: 401 },
  WRONG_TOKEN_TYPE: { no: 9, status: 401 },
  USER_DISALLOWED: { no: 10, status: 403 },
  PENDING_ACTION: { no: 11, status: 403 },
  INCORRECT_NONCE: { no: 12, status: 401 },
  TOO_MANY_ATTEMPTS: { no: 13, status: 403 },
  READ_ONLY_ACCESS: { no: 14, status: 403 },
  USER_DOES_NOT_EXIST: { no: 15, status: 404 },
  KEY_DOES_NOT_EXIST: { no: 16, status: 404 },
  CONTAINER_DOES_NOT_EXIST: { no: 17, status: 404 },
  ENTRY_DOES_NOT_EXIST: { no: 18, status: 404 },
  CATEGORY_DOES_NOT_EXIST: { no: 19, status: 404 },
  INVITATION_DOES_NOT_EXIST: { no: 20, status: 404 },
  FOREIGN_KEY_DOES_NOT_EXIST: { no: 21, status: 404 },
  INPUT_TOO_LARGE: { no: 22, status: 413 },
  TOO_MANY_REQUESTED: { no: 23, status: 418 },
  INTERNAL_ERROR: { no: 24, status: 500 },
  /** What the framework refuses before a handler runs; 400 unless the thrower says otherwise. */
  PREHANDLER: { no: 25, status: 400 },
  CLIENT_OUT_OF_DATE: { no: 26, status: 418 },
} as const satisfies Record<string, { no: number; status: number }>;

export type ErrorType = keyof typeof ERRORS;

/** An error that is meant for the client. The message is for a person and never holds a secret, a token or SQL. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  /** Extra response headers, for example `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly type: ErrorType,
    message: string,
    options: { status?: 400 | 404 | 405 | 413 | 429 | 503; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.status = options.status ?? ERRORS[type].status;
    this.headers = options.headers ?? {};
  }
}

/** The server cannot take this request now; the client may try again after `retryAfterSecs`. */
export function overloaded(message: string, retryAfterSecs: number): ApiError {
  return new ApiError("PREHANDLER", message, { status: 503, headers: { "retry-after": String(retryAfterSecs) } });
}
